package rqp

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		`{"error":"need_info","ticket":"t","required_claims":[{"claim_token_format":"a"}]}`, `{"access_token":"a","token_type":"Bearer"}`, `{`, `[]`, ``,
	} {
		f.Add([]byte(s))
	}
	u := &url.URL{Scheme: "https", Host: "as.example"}
	f.Fuzz(func(t *testing.T, body []byte) {
		bad := &answer{status: 403, kind: "application/json", body: body, from: u}
		next, err := grantRefused(bad, "sent")
		if err == nil || next == "sent" || strings.ContainsAny(err.Error(), "\x1b\r\n") {
			t.Errorf("refused = %q, %v", next, err)
		}
		good := &answer{status: 200, kind: "application/json", body: body, from: u}
		if token, err := claimsToken(good); err == nil && !isToken(token) {
			t.Errorf("claims token %q", token)
		}
		_, _ = issuerLink(good)
	})
}

func FuzzChallenge(f *testing.F) {
	f.Add(`UMA as_uri="https://as.example", ticket="t"`)
	f.Add(`Bearer, UMA ticket=`)
	f.Fuzz(func(t *testing.T, line string) {
		resp := &http.Response{
			StatusCode: 401, Header: http.Header{"Www-Authenticate": {line}},
			Request: &http.Request{URL: &url.URL{Host: "api.example"}},
		}
		ch, ok, err := umaChallenge(resp)
		if _, bad := oauth.ParseIssuer(ch.asURI); ok && err == nil && (ch.ticket == "" || bad != nil) {
			t.Errorf("%q is accepted as %+v", line, ch)
		}
	})
}

func FuzzIdentifiers(f *testing.F) {
	for _, s := range []string{"https://a.example/x/y", "https://a.example:443//..", "https://A.example/%2f", "https://a.example/" + strings.Repeat("s/", 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" || u.Host == "" {
			t.Skip()
		}
		ids := identifiers(u, false)
		if len(ids) > maxDepth {
			t.Errorf("%d places for %q", len(ids), s)
		}
		for _, id := range ids {
			if !oauth.Covers(id, u) {
				t.Errorf("%s does not cover %q", id, s)
			}
		}
	})
}
