package oauth

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4/json"
)

// maxDepth is how deep JSON of a stranger may nest.
const maxDepth = 32

// ErrNotJSON says that a text is no acceptable JSON.
var ErrNotJSON = errors.New("not acceptable JSON")

// DecodeJSON decodes data strictly: member names count as they are written
// (UMA Grant §1.1), a repeated member, trailing data and deep nesting are
// refused. Unknown members are ignored (UMA Grant §1.1). go-jose's JSON is used
// because encoding/json ignores case and takes the last of two members.
func DecodeJSON(data []byte, v any) error {
	if tooDeep(data) {
		return errors.Join(ErrNotJSON, errors.New("nested too deeply"))
	}
	if err := json.Unmarshal(data, v); err != nil {
		return errors.Join(ErrNotJSON, err)
	}
	return nil
}

// DecodeObject is DecodeJSON for a text that must be a JSON object.
func DecodeObject(data []byte, v any) error {
	if t := bytes.TrimLeft(data, " \t\r\n"); len(t) == 0 || t[0] != '{' {
		return errors.Join(ErrNotJSON, errors.New("not an object"))
	}
	return DecodeJSON(data, v)
}

// DecodeCommand is DecodeObject for what an administrator orders. A member that is not
// known, stands there twice, is null or an empty text is an error: without what somebody
// misspelt, or a shell left empty, the order would mean more. Only where a page begins
// (after) and a reason may be empty.
func DecodeCommand(data []byte, v any) error {
	var wrong error
	err := Members(data, func(name, value []byte) {
		switch {
		case !isCommandName(name):
			wrong = errors.Join(ErrNotJSON, errors.New("a member is not known"))
		case string(name) == "after", string(name) == "reason":
		case string(value) == `""`, string(value) == "null":
			wrong = errors.Join(ErrNotJSON, fmt.Errorf("the member %q is empty", name))
		}
	})
	if err := errors.Join(err, wrong); err != nil {
		return err
	}
	strict := stdjson.NewDecoder(bytes.NewReader(data)) // go-jose's cannot do this
	strict.DisallowUnknownFields()
	if err := strict.Decode(v); err != nil {
		return errors.Join(ErrNotJSON, err)
	}
	return nil
}

// isCommandName: encoding/json takes another case for the same name, and what Members
// holds for two members would be one.
func isCommandName(name []byte) bool {
	return len(bytes.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_")) == 0
}

// tooDeep looks at brackets outside strings only; it need not be a parser.
func tooDeep(data []byte) bool {
	depth, inString, escaped := 0, false, false
	for _, c := range data {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = c == '\\', c != '"'
		case c == '"':
			inString = true
		case c == '{', c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return false
}
