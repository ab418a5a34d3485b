package sts_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func TestCA_20_RequiredClaims(t *testing.T) {
	padded := func(n int) string {
		text := `[{"name":"name","friendly_name":"` + `"}]`
		return strings.Replace(text, `:""`, `:"`+strings.Repeat("x", n-len(text))+`"`, 1)
	}
	both := []string{"groups", "name"}
	for name, tc := range map[string]struct {
		required string
		want     []string
		bad      bool
	}{
		"A43 absent":                   {"", both, false},
		"A43 one":                      {`[{"name":"name"}]`, []string{"name"}, false},
		"A43 both":                     {`[{"name":"groups"},{"name":"name"}]`, both, false},
		"A43 none":                     {`[]`, nil, false},
		"A43 not on the list":          {`[{"name":"salary"}]`, nil, false},
		"A43 unknown beside a known":   {`[{"name":"nickname"},{"name":"name"},{"name":"salary"}]`, []string{"name"}, false},
		"A43 what is always there":     {`[{"name":"email"}]`, nil, false},
		"A43 a claim of the protocol":  {`[{"name":"aud"},{"name":"cnf"}]`, nil, false},
		"A43 another case":             {`[{"name":"Name"}]`, nil, false},
		"A43 no name":                  {`[{"claim_token_format":["urn:ietf:params:oauth:token-type:jwt"]}]`, nil, false},
		"A43 friendly_name is no name": {`[{"friendly_name":"name","claim_type":"name"}]`, nil, false},
		"A43 claim_type is ignored":    {`[{"name":"name","claim_type":"https://x.example/y","unknown":{"a":1}}]`, []string{"name"}, false},
		"A43 our format":               {`[{"name":"name","claim_token_format":["x","urn:ietf:params:oauth:token-type:jwt"]}]`, []string{"name"}, false},
		"A43 another format":           {`[{"name":"name","claim_token_format":["http://openid.net/specs/openid-connect-core-1_0.html#IDToken"]}]`, nil, false},
		"A43 our issuer":               {`[{"name":"name","issuer":["https://x.example","` + issuer + `"]}]`, []string{"name"}, false},
		"A43 another issuer":           {`[{"name":"name","issuer":["https://x.example"]}]`, nil, false},
		"A43 another and anybody's":    {`[{"name":"name","issuer":["https://x.example"]},{"name":"name"}]`, []string{"name"}, false},
		"A43 the longest":              {padded(4 << 10), []string{"name"}, false},
		"A43 a byte more":              {padded(4<<10 + 1), nil, true},
		"A43 no array":                 {`{"name":"name"}`, nil, true},
		"A43 null":                     {`null`, nil, true},
		"A43 a text":                   {`"name"`, nil, true},
		"A43 texts":                    {`["name"]`, nil, true},
		"A43 null inside":              {`[null]`, nil, true},
		"A43 a number as name":         {`[{"name":1}]`, nil, true},
		"A43 issuer is no array":       {`[{"name":"name","issuer":"` + issuer + `"}]`, nil, true},
		"A43 repeated member":          {`[{"name":"name","name":"groups"}]`, nil, true},
		"A43 trailing data":            {`[] []`, nil, true},
		"A43 cut":                      {`[{"name":"name"}`, nil, true},
		"A43 deep":                     {strings.Repeat("[", 2000), nil, true},
		"A43 no JSON":                  {`name groups`, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			form := good("required_claims", tc.required)
			if tc.bad {
				b.wantError(t, b.post(form), http.StatusBadRequest, oauth.CodeInvalidRequest)
				if b.asked != 0 {
					t.Error("the subject token was looked at")
				}
				return
			}
			claims := b.mustIssue(t, form)
			got := slices.Sorted(maps.Keys(claims))
			got = slices.DeleteFunc(got, func(name string) bool {
				return slices.Contains([]string{"aud", "email", "email_verified", "exp", "iat", "iss", "jti", "sub", "ticket_challenge"}, name)
			})
			if d := cmp.Diff(append([]string{}, tc.want...), got); d != "" || claims["email"] != "bob@bob.example" {
				t.Error(d)
			}
		})
	}
	t.Run("A43 twice", func(t *testing.T) {
		b := newBench(t, nil)
		form := good()
		form["required_claims"] = []string{"[]", "[]"}
		b.wantError(t, b.post(form), http.StatusBadRequest, oauth.CodeInvalidRequest)
	})
}

// FuzzRequiredClaims: whatever is asked for, nothing is released that is not on
// the list, and everything on it only if nothing was asked.
func FuzzRequiredClaims(f *testing.F) {
	for _, s := range []string{`[{"name":"name"}]`, `[{"name":"salary","issuer":[]}]`, `[`, `[null]`, ` []`, `[{"name":"\u006eame"}]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := newBench(t, nil)
		form := good()
		form.Set("required_claims", text)
		w := b.post(form)
		if w.Code != http.StatusOK {
			if got := decode(t, w); w.Code != http.StatusBadRequest || got.Error != oauth.CodeInvalidRequest {
				t.Fatalf("%q: %d %s", text, w.Code, w.Body)
			}
			return
		}
		claims := b.verify(t, decode(t, w).AccessToken)
		var asked []map[string]any
		err := json.Unmarshal([]byte(text), &asked)
		if text != "" && (err != nil || asked == nil) {
			t.Fatalf("%q was accepted", text)
		}
		for name := range claims {
			if slices.Contains([]string{"salary", "nan", "Name"}, name) {
				t.Fatalf("%q released %s", text, name)
			}
			named := slices.ContainsFunc(asked, func(m map[string]any) bool { return m["name"] == name })
			if (name == "name" || name == "groups") && text != "" && !named {
				t.Fatalf("%q released %s", text, name)
			}
		}
	})
}
