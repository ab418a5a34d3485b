package oauth_test

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func basicHeader(pair string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
}

func TestOA_03_ParseCredentials(t *testing.T) {
	for name, tc := range map[string]struct {
		headers []string
		form    string
		want    oauth.Credentials
		code    string
	}{
		"nothing":                     {nil, "", oauth.Credentials{Method: "none"}, ""},
		"public":                      {nil, "client_id=app", oauth.Credentials{ClientID: "app", Method: "none"}, ""},
		"empty secret is none":        {nil, "client_id=app&client_secret=", oauth.Credentials{ClientID: "app", Method: "none"}, ""},
		"body":                        {nil, "client_id=web&client_secret=s", oauth.Credentials{ClientID: "web", Secret: "s", Method: "client_secret_post"}, ""},
		"Basic":                       {[]string{basicHeader("web:s")}, "", oauth.Credentials{ClientID: "web", Secret: "s", Method: "client_secret_basic"}, ""},
		"scheme in another case":      {[]string{"bAsIc" + basicHeader("web:s")[5:]}, "", oauth.Credentials{ClientID: "web", Secret: "s", Method: "client_secret_basic"}, ""},
		"Basic is form-encoded":       {[]string{basicHeader("a%3Ab:p%25+%2B")}, "", oauth.Credentials{ClientID: "a:b", Secret: "p% +", Method: "client_secret_basic"}, ""},
		"colons in the secret":        {[]string{basicHeader("web:a:b")}, "", oauth.Credentials{ClientID: "web", Secret: "a:b", Method: "client_secret_basic"}, ""},
		"assertion":                   {nil, "client_assertion=x&client_assertion_type=y", oauth.Credentials{Assertion: "x", AssertionType: "y", Method: "private_key_jwt"}, ""},
		"same client_id twice":        {[]string{basicHeader("web:s")}, "client_id=web", oauth.Credentials{ClientID: "web", Secret: "s", Method: "client_secret_basic"}, ""},
		"Bearer is no client":         {[]string{"Bearer x"}, "client_id=app", oauth.Credentials{ClientID: "app", Method: "none"}, ""},
		"another client_id":           {[]string{basicHeader("web:s")}, "client_id=app", oauth.Credentials{}, "invalid_request"},
		"Basic and body":              {[]string{basicHeader("web:s")}, "client_secret=s", oauth.Credentials{}, "invalid_request"},
		"Basic and assertion type":    {[]string{basicHeader("web:s")}, "client_assertion_type=y", oauth.Credentials{}, "invalid_request"},
		"body and assertion":          {nil, "client_id=web&client_secret=s&client_assertion=x", oauth.Credentials{}, "invalid_request"},
		"OA-09 two headers":           {[]string{basicHeader("web:s"), basicHeader("web:s")}, "", oauth.Credentials{}, "invalid_request"},
		"OA-04 no base64":             {[]string{"Basic !"}, "", oauth.Credentials{}, "invalid_client"},
		"OA-04 no colon":              {[]string{basicHeader("web")}, "", oauth.Credentials{}, "invalid_client"},
		"OA-04 bad escape":            {[]string{basicHeader("web:%zz")}, "", oauth.Credentials{}, "invalid_client"},
		"OA-04 nothing behind Basic":  {[]string{"Basic"}, "", oauth.Credentials{}, "invalid_client"},
		"OA-04 loose base64 at end":   {[]string{"Basic d2ViOnN="}, "", oauth.Credentials{}, "invalid_client"},
		"Basic with an empty secret":  {[]string{basicHeader("web:")}, "", oauth.Credentials{ClientID: "web", Method: "client_secret_basic"}, ""},
		"Basic, empty, and a form id": {[]string{basicHeader(":s")}, "client_id=web", oauth.Credentials{}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			form, err := oauth.ParseFormBody(tc.form)
			if err != nil {
				t.Fatal(err)
			}
			got, err := oauth.ParseCredentials(http.Header{"Authorization": tc.headers}, form)
			if got != tc.want || (err != nil) != (tc.code != "") {
				t.Fatalf("%+v, %v", got, err)
			}
			if err == nil {
				return
			}
			e := oauth.AsError(err)
			if e.Code != tc.code || (e.Code == "invalid_client") != (len(e.Header) == 1) {
				t.Errorf("%v %v", e, e.Header)
			}
		})
	}
}
