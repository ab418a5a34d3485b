package jose

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const (
	maxHeader = 2048
	maxKID    = 255
)

// Header is the protected header of a token that passed the gate.
type Header struct{ Alg, KID, Typ string }

// Token is a compact JWS that passed the gate and is NOT verified.
type Token struct {
	Header Header
	// input is the first two segments as they came: the signature is over them
	// (RFC 7515 §5.2).
	input     string
	payload   []byte
	signature []byte
}

// Parse is the strict gate, and the only reader of what it lets through: three
// base64url segments in at most limit bytes, an asymmetric algorithm, a kid, none
// of the members that choose keys or change the meaning, and a payload that is a
// JSON object without repeated members. Errors wrap ErrToken.
func Parse(compact string, limit int) (*Token, error) {
	return parse(compact, limit, parseHeader)
}

// parse is the gate; header reads the first segment in one of two ways.
func parse(compact string, limit int, header func(raw []byte) (Header, error)) (*Token, error) {
	if len(compact) > limit {
		return nil, refuse("too long")
	}
	raw, err := segmentsOf(compact)
	if err != nil {
		return nil, err
	}
	t := &Token{input: compact[:strings.LastIndexByte(compact, '.')], payload: raw[1], signature: raw[2]}
	if t.Header, err = header(raw[0]); err != nil {
		return nil, err
	}
	// Whatever the payload is decoded into later: this is what it was checked for.
	if err := oauth.Members(t.payload, nil); err != nil {
		return nil, fmt.Errorf("%w: payload: %w", ErrToken, err)
	}
	return t, nil
}

// segmentsOf decodes the three segments, into one piece of memory.
func segmentsOf(compact string) (raw [3][]byte, err error) {
	parts := strings.SplitN(compact, ".", 4)
	if len(parts) != len(raw) {
		return raw, refuse("not three segments")
	}
	all := make([]byte, 0, base64.RawURLEncoding.DecodedLen(len(compact)))
	for i, part := range parts {
		start := len(all)
		if all, err = oauth.AppendBase64(all, part); err != nil || len(all) == start {
			return raw, refuse("segment %d is not base64url", i+1)
		}
		raw[i] = all[start:len(all):len(all)]
	}
	return raw, nil
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrToken, fmt.Sprintf(format, args...))
}

// forbidden members: they would let the token choose its key (jku, x5u, x5c, and
// jwk but for ParseEmbedded; RFC 8725 §3.10) or change how it is read (crit, b64,
// zip).
var forbidden = []string{"crit", "jku", "x5u", "x5c", "b64", "zip", "enc"}

// texts are the members that must be strings, if they are there, though nothing
// here looks at them (RFC 7515 §4.1).
var texts = []string{"cty", "x5t", "x5t#S256"}

// parseHeader reads the header of a token whose key is chosen by kid.
func parseHeader(raw []byte) (Header, error) {
	h, jwk, err := readHeader(raw)
	if err != nil {
		return h, err
	}
	if jwk != nil {
		return h, refuse("the header has the member jwk")
	}
	if !isKID(h.KID) {
		return h, refuse("kid is missing or malformed")
	}
	return h, nil
}

// readHeader holds what is true of every header, with jwk or with kid. jwk is as
// it is written, nil if it is not there.
func readHeader(raw []byte) (h Header, jwk []byte, err error) {
	if len(raw) > maxHeader {
		return h, nil, refuse("the header is too long")
	}
	// jwx, for one, verifies the header without the space around it, and so takes a
	// token to which somebody has added some. Nobody writes any.
	if raw[0] != '{' || raw[len(raw)-1] != '}' {
		return h, nil, refuse("the header does not begin and end with a brace")
	}
	var wrong error
	bad := oauth.Members(raw, func(name, value []byte) {
		if string(name) == "jwk" {
			jwk = value
		} else if err := h.take(string(name), value); err != nil && wrong == nil {
			wrong = err
		}
	})
	switch {
	case bad != nil:
		return h, nil, refuse("the header is no JSON object")
	case wrong != nil:
		return h, nil, wrong
	case !slices.Contains(DefaultAlgs(), h.Alg):
		return h, nil, refuse("the algorithm is not accepted")
	}
	return h, jwk, nil
}

// take takes a member, or tells why a token with it is refused.
func (h *Header) take(name string, value []byte) error {
	var ok bool
	switch name {
	case "alg":
		h.Alg, ok = text(value)
	case "kid":
		h.KID, ok = text(value)
	case "typ":
		h.Typ, ok = text(value)
	default:
		if slices.Contains(forbidden, name) {
			return refuse("the header has the member %s", name)
		}
		ok = !slices.Contains(texts, name) || value[0] == '"'
	}
	if !ok {
		return refuse("%s is no string", name)
	}
	return nil
}

// text is a JSON string; value is known to be JSON.
func text(value []byte) (string, bool) {
	if value[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	var s string
	return s, json.Unmarshal(value, &s) == nil
}

// isKID accepts printable ASCII: a kid is a map key and nothing else.
func isKID(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return s != "" && len(s) <= maxKID
}

// Unverified decodes the payload strictly into v. Nothing in it can be trusted.
func (t *Token) Unverified(v any) error {
	// The gate has read it all: there is nothing to find in it a second time.
	if whole, ok := v.(*json.RawMessage); ok {
		*whole = bytes.Clone(bytes.Trim(t.payload, " \t\r\n"))
		return nil
	}
	if err := oauth.DecodeObject(t.payload, v); err != nil {
		return fmt.Errorf("%w: payload: %w", ErrToken, err)
	}
	return nil
}
