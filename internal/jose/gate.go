package jose

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

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
	Header  Header
	compact string
	payload []byte
}

// Parse is the strict gate in front of the library: three base64url segments in
// at most limit bytes, an asymmetric algorithm, a kid, none of the members that
// choose keys or change the meaning, and a payload that is a JSON object
// without repeated members. Errors wrap ErrToken.
func Parse(compact string, limit int) (*Token, error) {
	return parse(compact, limit, parseHeader)
}

// parse is the gate; header reads the first segment in one of two ways.
func parse(compact string, limit int, header func(raw []byte) (Header, error)) (*Token, error) {
	if len(compact) > limit {
		return nil, refuse("too long")
	}
	parts := strings.SplitN(compact, ".", 4)
	if len(parts) != 3 {
		return nil, refuse("not three segments")
	}
	raw := make([][]byte, len(parts))
	for i, part := range parts {
		b, err := oauth.DecodeBase64(part)
		if err != nil || len(b) == 0 {
			return nil, refuse("segment %d is not base64url", i+1)
		}
		// RFC 7515 §3, RFC 7519 §3: both are UTF-8. Decoders replace what is not,
		// each in its own way.
		if i < 2 && !utf8.Valid(b) {
			return nil, refuse("segment %d is not UTF-8", i+1)
		}
		raw[i] = b
	}
	h, err := header(raw[0])
	if err != nil {
		return nil, err
	}
	t := &Token{Header: h, compact: compact, payload: raw[1]}
	var any map[string]any
	if err := t.Unverified(&any); err != nil {
		return nil, err
	}
	return t, nil
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrToken, fmt.Sprintf(format, args...))
}

// forbidden members: they would let the token choose its key (jku, x5u, x5c, and
// jwk but for ParseEmbedded; RFC 8725 §3.10) or change how it is read (crit, b64,
// zip).
var forbidden = []string{"crit", "jku", "x5u", "x5c", "b64", "zip", "enc"}

// parseHeader reads the header of a token whose key is chosen by kid.
func parseHeader(raw []byte) (Header, error) {
	h, members, err := readHeader(raw)
	if err != nil {
		return h, err
	}
	if _, there := members["jwk"]; there {
		return h, refuse("the header has the member jwk")
	}
	if !isKID(h.KID) {
		return h, refuse("kid is missing or malformed")
	}
	return h, nil
}

// readHeader holds what is true of every header, with jwk or with kid.
func readHeader(raw []byte) (h Header, members map[string]any, err error) {
	if len(raw) > maxHeader {
		return h, nil, refuse("the header is too long")
	}
	if err := oauth.DecodeObject(raw, &members); err != nil {
		return h, nil, refuse("the header is no JSON object")
	}
	for _, name := range forbidden {
		if _, there := members[name]; there {
			return h, nil, refuse("the header has the member %s", name)
		}
	}
	for name, to := range map[string]*string{"alg": &h.Alg, "kid": &h.KID, "typ": &h.Typ} {
		value, there := members[name]
		text, ok := value.(string)
		if there && !ok {
			return h, nil, refuse("%s is no string", name)
		}
		*to = text
	}
	if !slices.Contains(DefaultAlgs(), h.Alg) {
		return h, nil, refuse("the algorithm is not accepted")
	}
	return h, members, nil
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
	if err := oauth.DecodeObject(t.payload, v); err != nil {
		return fmt.Errorf("%w: payload: %w", ErrToken, err)
	}
	return nil
}
