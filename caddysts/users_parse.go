package caddysts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
	"github.com/caddy-uma/caddy-uma/internal/sts"
)

const (
	// maxUsers is the largest users file, in bytes.
	maxUsers = 4 << 20
	// maxUsersDepth bounds how deep claims are nested.
	maxUsersDepth = 32
)

// usersReader reads the text of a users file,
//
//	{"users": [{"email": …, "password_hash": …, "sub": …, "claims": {…}, "disabled": false}, …]}
//
// strictly: a member that is misspelt, or written twice, would be somebody with
// other rights than was meant. Its errors name a place and never show a value:
// somebody may have written a password in clear.
type usersReader struct {
	data    []byte
	dec     *json.Decoder
	domains []string       // of the addresses
	lines   map[string]int // by lower-cased address; 0 = in the configuration
	users   []op.User
	index   int // of the user that is read
}

// parseUsers gives the users of a file, without those that are disabled. own are
// the users of the configuration, who must not be there again.
func parseUsers(data []byte, domains []string, own []op.User) ([]op.User, error) {
	r := &usersReader{data: data, domains: domains, lines: map[string]int{}}
	for _, u := range own {
		r.lines[strings.ToLower(u.Email)] = 0
	}
	if err := r.checkSyntax(); err != nil {
		return nil, err
	}
	r.dec = json.NewDecoder(bytes.NewReader(data))
	there := false
	err := r.object("the file", func(name string, at int) error {
		if name != "users" {
			return r.fail(at, `there is an unknown member; the file has one, "users"`)
		}
		there = true
		return r.array(`"users"`, r.user)
	})
	if err == nil && !there {
		err = r.fail(0, `"users" is missing; write {"users": []} if there shall be nobody`)
	}
	return r.users, err
}

// checkSyntax: one JSON value and nothing behind it.
func (r *usersReader) checkSyntax() error {
	if !utf8.Valid(r.data) {
		return r.fail(invalidUTF8(r.data), "the text is not UTF-8")
	}
	var whole json.RawMessage
	err := json.Unmarshal(r.data, &whole)
	if err == nil {
		return nil
	}
	syntax := (*json.SyntaxError)(nil)
	if !errors.As(err, &syntax) {
		return r.fail(0, "the text is not JSON")
	}
	if int(syntax.Offset) >= len(bytes.TrimRight(r.data, " \t\r\n")) && strings.Contains(syntax.Error(), "unexpected end") {
		return r.fail(len(r.data), "the text ends in the middle; write the whole file under another name and rename it")
	}
	return r.fail(int(syntax.Offset)-1, "the text is not JSON here; look for a comma, quote or bracket that is missing or too much")
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		c, n := utf8.DecodeRune(data[i:])
		if c == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}

// fail names the place of a mistake.
func (r *usersReader) fail(at int, format string, args ...any) error {
	at = min(max(at, 0), len(r.data))
	before := r.data[:at]
	line, column := 1+bytes.Count(before, []byte("\n")), at-bytes.LastIndexByte(before, '\n')
	return fmt.Errorf("line %d, column %d: "+format, append([]any{line, column}, args...)...)
}

func (r *usersReader) line(at int) int { return 1 + bytes.Count(r.data[:at], []byte("\n")) }

// here is where the next token begins.
func (r *usersReader) here() int {
	at := int(r.dec.InputOffset())
	for at < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[at]) >= 0 {
		at++
	}
	return at
}

// begin reads the bracket that opens a value.
func (r *usersReader) begin(what, kind string, bracket json.Delim) error {
	at := r.here()
	if t, err := r.dec.Token(); err != nil || t != bracket {
		return r.fail(at, "%s must be %s", what, kind)
	}
	return nil
}

func (r *usersReader) object(what string, member func(name string, at int) error) error {
	if err := r.begin(what, "an object {…}", '{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for r.dec.More() {
		at := r.here()
		t, err := r.dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return r.fail(at, "the text is not JSON here")
		}
		if seen[name] {
			return r.fail(at, "this member is there twice in %s; remove one", what)
		}
		seen[name] = true
		if err := member(name, at); err != nil {
			return err
		}
	}
	_, err := r.dec.Token()
	return err
}

func (r *usersReader) array(what string, element func() error) error {
	if err := r.begin(what, "an array […]", '['); err != nil {
		return err
	}
	for r.dec.More() {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := r.dec.Token()
	return err
}

// what names the user that is read, or a part of him.
func (r *usersReader) what(part string) string { return fmt.Sprintf("users[%d]%s", r.index, part) }

func (r *usersReader) user() error {
	start := r.here()
	var u op.User
	disabled := false
	err := r.object(r.what(""), func(name string, at int) (err error) {
		switch name {
		case "email":
			u.Email, err = r.address()
		case "password_hash":
			u.PasswordHash, err = r.hash()
		case "sub":
			u.Sub, err = scalar[string](r, ".sub", "a text")
		case "claims":
			u.Claims, err = r.claims()
		case "disabled":
			disabled, err = scalar[bool](r, ".disabled", "true or false")
		default:
			err = r.fail(at, `there is an unknown member in %s; known: "email", "password_hash", "sub", "claims", "disabled"`, r.what(""))
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case u.Email == "":
		return r.fail(start, `%s has no "email"`, r.what(""))
	case u.PasswordHash == "":
		return r.fail(start, `%s has no "password_hash"; make one with: caddy hash-password`, r.what(""))
	}
	if !disabled {
		r.users = append(r.users, u)
	}
	r.index++
	return nil
}

// scalar reads a value that is neither object nor array.
func scalar[T any](r *usersReader, part, kind string) (T, error) {
	at := r.here()
	t, err := r.dec.Token()
	v, ok := t.(T)
	if err != nil || !ok {
		return v, r.fail(at, "%s must be %s", r.what(part), kind)
	}
	return v, nil
}

// address reads the e-mail address; nobody is there twice, in whatever spelling.
func (r *usersReader) address() (string, error) {
	at := r.here()
	email, err := scalar[string](r, ".email", "a text")
	if err != nil {
		return "", err
	}
	address, err := oauth.ParseAddress(email)
	if err != nil {
		return "", r.fail(at, "%s is not an e-mail address such as bob@bob.example", r.what(".email"))
	}
	if !ofDomains(address, r.domains) {
		return "", r.fail(at, "the domain of %s is not an email_domain of this server (%s)", r.what(".email"), strings.Join(r.domains, ", "))
	}
	key := strings.ToLower(email)
	line, twice := r.lines[key]
	switch {
	case twice && line == 0:
		return "", r.fail(at, "the address of %s stands in the configuration, too; remove it from one of them", r.what(""))
	case twice:
		return "", r.fail(at, "the address of %s is in line %d already; remove one", r.what(""), line)
	}
	r.lines[key] = r.line(at)
	return email, nil
}

func (r *usersReader) hash() (string, error) {
	at := r.here()
	hash, err := scalar[string](r, ".password_hash", "a text")
	if err == nil && checkHash("", hash) != nil {
		err = r.fail(at, "%s must be a password hash (argon2id or bcrypt); make one with: caddy hash-password", r.what(".password_hash"))
	}
	return hash, err
}

func (r *usersReader) claims() (map[string]any, error) {
	claims := map[string]any{}
	err := r.object(r.what(".claims"), func(name string, at int) error {
		if name == "" || sts.Reserved(name) {
			return r.fail(at, "this claim of %s is set by the server; remove it", r.what(""))
		}
		at = r.here()
		value, err := r.value(1)
		if err != nil {
			return err
		}
		if kind := claimKind(name, value); kind != "" {
			return r.fail(at, "this claim of %s must be %s", r.what(""), kind)
		}
		claims[name] = value
		return nil
	})
	return claims, err
}

// claimKind says what a claim must be if the value is something else (OpenID
// Connect Core §5.1; groups are a list as in a Caddyfile). Others may be anything
// but null.
func claimKind(name string, value any) string {
	fits := value != nil
	kind := "something; leave it away if it has no value"
	switch {
	case stringClaims[name]:
		_, fits = value.(string)
		kind = "a text"
	case name == "phone_number_verified":
		_, fits = value.(bool)
		kind = "true or false"
	case name == "updated_at":
		_, fits = value.(float64)
		kind = "a number"
	case name == "address":
		_, fits = value.(map[string]any)
		kind = "an object {…}"
	case name == "groups":
		fits = isTexts(value)
		kind = `an array of texts, such as ["staff"]`
	}
	if fits {
		return ""
	}
	return kind
}

func isTexts(value any) bool {
	array, ok := value.([]any)
	return ok && !slices.ContainsFunc(array, func(v any) bool { _, ok := v.(string); return !ok })
}

// value reads any value.
func (r *usersReader) value(depth int) (any, error) {
	at := r.here()
	if depth > maxUsersDepth {
		return nil, r.fail(at, "the claims of %s are nested too deeply", r.what(""))
	}
	switch r.data[min(at, len(r.data)-1)] {
	case '{':
		object := map[string]any{}
		err := r.object("this object", func(name string, _ int) (err error) {
			object[name], err = r.value(depth + 1)
			return err
		})
		return object, err
	case '[':
		array := []any{}
		err := r.array("this array", func() error {
			v, err := r.value(depth + 1)
			array = append(array, v)
			return err
		})
		return array, err
	}
	t, err := r.dec.Token()
	if err != nil { // a number that fits nowhere
		return nil, r.fail(at, "this value of %s cannot be used", r.what(""))
	}
	return t, nil
}
