package clientauth_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// is tells whether a certificate with a name authenticates a client with a DN.
func is(t *testing.T, name pkix.Name, dn string) bool {
	t.Helper()
	b := newBench(t)
	_, err := b.Authenticate(t.Context(), clientauth.Client{ID: "web", Credentials: clientauth.Credentials{TLSSubject: dn}}, clientauth.Request{
		Credentials: oauth.Credentials{ClientID: "web", Method: oauth.AuthNone}, TLS: state(true, certificate(t, newKey(t), name)),
	})
	return err == nil
}

func TestSubject(t *testing.T) {
	odd := pkix.Name{CommonName: `web\,O=Bob+C=DE"; #é `}
	extra := pkix.Name{CommonName: "web", ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, Value: "example"},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "web"},
	}}
	ou := pkix.Name{Organization: []string{"a", "b"}}
	for _, tc := range []struct {
		name pkix.Name
		dn   string
		want bool
	}{
		{subject, subjectDN, true},
		{subject, `cn=web,o=Bob\2c Inc.,c=DE`, true},
		{subject, `2.5.4.3=web,2.5.4.10=Bob\, Inc.,2.5.4.6=DE`, true},
		{subject, `CN=#0c03776562,O=Bob\, Inc.,C=DE`, true},
		{subject, `C=DE,O=Bob\, Inc.,CN=web`, false}, // the other way round
		{subject, `CN=web,O=Bob\, Inc.`, false},
		{subject, `CN=web`, false},
		{subject, `CN=Web,O=Bob\, Inc.,C=DE`, false},
		{subject, `CN=web+O=Bob\, Inc.,C=DE`, false},
		{subject, `CN=web\,O=Bob\\\, Inc.,C=DE`, false},
		{odd, `CN=web\\\,O=Bob\+C=DE\"\; #é\ `, true},
		{odd, `CN=web\\,O=Bob+C=DE\"\; #é\ `, false},
		{pkix.Name{CommonName: "web,O=Bob"}, `CN=web,O=Bob`, false},
		{extra, `CN=web,DC=example`, true},
		{extra, `DC=example,CN=web`, false},
		{ou, `O=a+O=b`, true},
		{ou, `O=b+O=a`, true},
		{ou, `O=a,O=b`, false},
		{ou, `O=a+O=a`, false},
	} {
		if got := is(t, tc.name, tc.dn); got != tc.want {
			t.Errorf("%v is %s: %v", tc.name, tc.dn, got)
		}
	}
}

func TestParseDN(t *testing.T) {
	for _, dn := range []string{
		"", "web", "CN", "CN=", "=web", "XX=web", "CN=a,", ",CN=a", "CN=a, O=b", "CN= a", "CN=a ", "CN=a;O=b", `CN="a"`,
		"CN=a\x00", `CN=a\`, `CN=a\x`, `CN=a\zz`, `CN=\ff`, "CN=\xff", "CN=a<b", "CN=#", "CN=#zz", "CN=#0c03", "CN=#0201 01", "CN=#020101",
		"CN=#0c0377656200", "1=a", "01.2=a", "1..2=a", "-1.2=a", "CN=" + strings.Repeat("a", 2048), strings.Repeat("CN=a,", 64) + "CN=a",
	} {
		if got, err := clientauth.ParseDN(dn); err == nil {
			t.Errorf("%q is %v", dn, got)
		}
	}
}

func FuzzParseDN(f *testing.F) {
	for _, s := range []string{subjectDN, `CN=a+O=b,DC=#0c0161`, `1.2.3=\2c\ `, `CN=#`, `,`, `\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		dn, err := clientauth.ParseDN(s)
		if (err == nil) != (len(dn) > 0) {
			t.Errorf("%q: %v, %v", s, dn, err)
		}
		for _, rdn := range dn {
			if len(rdn) == 0 {
				t.Errorf("%q: an empty RDN", s)
			}
		}
	})
}

func TestCheckCredentials(t *testing.T) {
	keys := clientauth.Credentials{JWKS: []byte(`{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`)}
	for name, tc := range map[string]struct {
		creds clientauth.Credentials
		ok    bool
	}{
		"nothing":            {clientauth.Credentials{}, true},
		"keys":               {keys, true},
		"keys and URI":       {clientauth.Credentials{JWKS: keys.JWKS, JWKSURI: keysURI}, false},
		"URI":                {clientauth.Credentials{JWKSURI: keysURI + "?v=1"}, true},
		"URI, http":          {clientauth.Credentials{JWKSURI: "http://client.example/jwks"}, false},
		"URI, user":          {clientauth.Credentials{JWKSURI: "https://a@client.example/jwks"}, false},
		"URI, fragment":      {clientauth.Credentials{JWKSURI: keysURI + "#x"}, false},
		"URI, file":          {clientauth.Credentials{JWKSURI: "file:///etc/passwd"}, false},
		"no keys":            {clientauth.Credentials{JWKS: []byte(`{"keys":[]}`)}, false},
		"no JSON":            {clientauth.Credentials{JWKS: []byte(`x`)}, false},
		"a secret":           {clientauth.Credentials{JWKS: []byte(`{"keys":[{"kty":"oct","k":"AA"}]}`)}, false},
		"subject":            {clientauth.Credentials{TLSSubject: subjectDN}, true},
		"no subject":         {clientauth.Credentials{TLSSubject: "web"}, false},
		"self-signed":        {clientauth.Credentials{TLSSelfSigned: true, JWKS: keys.JWKS}, true},
		"self-signed, alone": {clientauth.Credentials{TLSSelfSigned: true}, false},
	} {
		if err := tc.creds.Check(); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
