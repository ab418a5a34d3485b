package rs_test

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

var readSeeds = []string{
	`{"iss":"https://as.example","sub":"u-1","aud":"a","client_id":"c","exp":2,"iat":1,"nbf":0,"jti":"j","decision_id":"d","permissions":[{"resource_id":"id-1","resource_scopes":["get","get"],"exp":5}]}`,
	`{"status":{"status_list":{"idx":7,"uri":"https://as.example/s"}},"cnf":{"jkt":"x","x5t#S256":"y","z":1}}`,
	`{"email":"bob@bob.example","bad name":"x","brace":"{x}","n":1,"o":{"a":1},"esc":"a\nb","u":"é","A":"x"}`,
	`{"iss":null,"aud":null}`, `{"iss":null,"cnf":null,"status":null,"permissions":null,"jti":null}`, `{"sub":1}`, `{"aud":["a",1]}`,
	`{"ISS":"x","Sub":"y"}`, `{"exp":1e3}`, `{"exp":"1"}`, `{"exp":1.5}`, `{"permissions":{}}`, `{"permissions":[null]}`, `{"permissions":[{"resource_id":1}]}`,
	`{"cnf":1}`, `{"cnf":{"jkt":1}}`, `{"status":[]}`, `{"sub":"a","sub":"b"}`, `{"x":{"a":1,"a":2}}`, `{"jti":5}`, `{"jti":""}`, `{} `, ` {}x`, `[]`, ``,
	`{"sub":"\ud800"}`, `{"email":"\u007b"}`, `{"decision_id":"\u0000"}`, `{"token_type":"x","active":"y","id":"root"}`,
}

// One pass over the claims and the decoding of them all say the same.
func TestAT_05_ReadClaims(t *testing.T) {
	w := newWorld(t)
	for _, payload := range readSeeds {
		w.sameReading(t, []byte(payload))
	}
	for i := range 3 {
		payload, err := json.Marshal(w.claims(real(i)))
		if err != nil {
			t.Fatal(err)
		}
		w.sameReading(t, payload)
		if _, err := w.rs.ReadFast(payload); err != nil {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

func (w *world) sameReading(t *testing.T, payload []byte) {
	t.Helper()
	fast, err1 := w.rs.ReadFast(payload)
	slow, err2 := w.rs.ReadSlowly(payload)
	switch {
	case !utf8.Valid(payload) && err1 != nil: // decoders replace what is not UTF-8
	case (err1 == nil) != (err2 == nil):
		t.Errorf("%q: %v, and %v by decoding", payload, err1, err2)
	case err1 == nil && fast != slow:
		t.Errorf("%q:\n%s\n%s by decoding", payload, fast, slow)
	}
}

func FuzzReadClaims(f *testing.F) {
	for _, payload := range readSeeds {
		f.Add([]byte(payload))
	}
	w := newQuiet(f)
	f.Fuzz(func(t *testing.T, payload []byte) { w.sameReading(t, payload) })
}
