package upstream

import "testing"

// FuzzParseClaims: whatever a provider says, reading it ends in claims or in an
// error, and what is read by type is what stands there by name.
func FuzzParseClaims(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"sub":"a","sub":"b"}`, `{"aud":null}`, `{"aud":["a",null]}`, `{"exp":"1"}`, `{"exp":1e9}`, `{"cnf":[]}`, `{"may_act":{"sub":1}}`,
		`{"Sub":"a"}`, `{"iss":"https://bob.example","sub":"bob","aud":["x"],"exp":1.5,"cnf":{"jkt":"x"},"may_act":{"sub":"y"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseClaims(data)
		if err == nil && (c.Subject != c.text("sub") || c.Issuer != c.text("iss") || c.ClientID != c.text("client_id")) {
			t.Errorf("%q is read in two ways: %+v", data, c)
		}
		_, _ = issuerOf(string(data))
	})
}
