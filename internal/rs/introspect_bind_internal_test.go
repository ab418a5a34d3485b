package rs

import (
	"encoding/base64"
	"testing"
)

// Whatever stands in a token: it is read or refused, and a binding that is read is one
// that a request must meet.
func FuzzConfirmationIn(f *testing.F) {
	for _, payload := range []string{`{}`, `{"cnf":{"jkt":"x"}}`, `{"cnf":null}`, `{"cnf":{}}`, `{"cnf":{"jkt":"x"},"cnf":{}}`, ` {`, `x`, ``} {
		f.Add("a." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c")
	}
	f.Fuzz(func(t *testing.T, token string) {
		c, err := confirmationIn(token)
		if err != nil && !isCompactJWS(token) {
			t.Errorf("no JWT, and %v", err)
		}
		if err == nil && c != nil && c.jkt == "" && c.x5t == "" {
			if got := new(Server).checkBinding(&presented{scheme: schemeBearer}, c); got == nil {
				t.Errorf("%q: bound to nothing known, and passes", token)
			}
		}
	})
}
