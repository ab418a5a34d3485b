package rs_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

func TestUG_08_UG_10_TokenlessRequestGetsTicket(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) { c.Realm = "the api" })
	_, f := w.check("GET", "")
	c := challengeOf(t, f)
	for name, want := range map[string]string{
		"realm": "the api", "as_uri": issuer, "ticket": "ticket-1",
		"resource_metadata": resource + "/.well-known/oauth-protected-resource",
	} {
		if got := c.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	line := f.Header.Get("WWW-Authenticate")
	if want := `UMA realm="the api", as_uri="https://as.example", ticket="ticket-1", resource_metadata="`; !strings.HasPrefix(line, want) {
		t.Errorf("WWW-Authenticate = %s, want %s…", line, want)
	}
	if n := w.as.count("POST /permission"); n != 1 {
		t.Errorf("permission requests = %d, want 1", n)
	}
	if len(f.Header.Values("WWW-Authenticate")) != 1 || f.Header.Get("Warning") != "" {
		t.Errorf("header = %v, want the UMA challenge alone", f.Header)
	}
	if len(w.events) != 0 {
		t.Errorf("events = %v, want none without a token", w.events)
	}
}

func TestOA_26_NoResourceMetadataWithoutDocument(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) { c.NoMetadata = true })
	_, f := w.check("GET", "")
	if got := challengeOf(t, f).Get("resource_metadata"); got != "" {
		t.Errorf("resource_metadata = %q, want none", got)
	}
	w = newWorld(t)
	w.as.uri = "https://api.example/base"
	_, f = w.check("GET", "")
	if got := challengeOf(t, f).Get("resource_metadata"); got != "https://api.example/.well-known/oauth-protected-resource/base" {
		t.Errorf("resource_metadata = %q", got)
	}
}

func TestCA_07_EachChallengeItsOwnTicket(t *testing.T) {
	w := newWorld(t)
	_, f1 := w.check("GET", "")
	_, f2 := w.check("GET", "")
	if a, b := challengeOf(t, f1).Get("ticket"), challengeOf(t, f2).Get("ticket"); a == b {
		t.Errorf("tickets = %q, %q, want two", a, b)
	}
	if got := f1.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q, want no-store", got)
	}
}

func TestUG_09_CA_06_PermissionFitsTheOperation(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) {
		c.Resources = []rs.Resource{
			{Name: "a", Scopes: []rs.Scope{{Name: "get"}, {Name: "write", Methods: []string{"POST"}}}, Also: []rs.Also{{Resource: "b", Scopes: []string{"use"}}}},
			{Name: "b", Scopes: []rs.Scope{{Name: "use", Methods: []string{"*"}}}},
		}
	})
	for _, c := range []struct {
		index        int
		method, want string
	}{
		{0, "GET", `[{"resource_id":"id-1","resource_scopes":["get"]},{"resource_id":"id-2","resource_scopes":["use"]}]`},
		{0, "HEAD", `[{"resource_id":"id-1","resource_scopes":["get"]},{"resource_id":"id-2","resource_scopes":["use"]}]`},
		{0, "POST", `[{"resource_id":"id-1","resource_scopes":["write"]},{"resource_id":"id-2","resource_scopes":["use"]}]`},
		{1, "DELETE", `{"resource_id":"id-2","resource_scopes":["use"]}`},
	} {
		if _, f := w.rs.Check(w.request(c.method, ""), rs.Target{Index: c.index, Source: "s"}); f == nil || f.Status != 401 {
			t.Fatalf("%s %d: refusal = %+v, want 401", c.method, c.index, f)
		}
		if w.as.lastAsk != c.want {
			t.Errorf("%s %d asks %s, want %s", c.method, c.index, w.as.lastAsk, c.want)
		}
	}
}

func TestCA_05_UnmappedMethodIsForbidden(t *testing.T) {
	w := newWorld(t)
	for _, method := range []string{"GET", "HEAD"} {
		if got := w.status(method, ""); got != 401 {
			t.Errorf("%s = %d, want 401", method, got)
		}
	}
	before := w.as.tickets
	for _, method := range []string{"POST", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get", "PROPFIND"} {
		_, f := w.check(method, "")
		if f.Status != 403 || f.Header.Get("WWW-Authenticate") != "" || f.Header.Get("Warning") != "" {
			t.Errorf("%s = %+v, want a bare 403", method, f)
		}
	}
	if _, f := w.rs.Check(w.request("GET", ""), rs.Target{Index: -1, Source: "s"}); f == nil || f.Status != 403 {
		t.Errorf("no resource = %+v, want 403", f)
	}
	if w.as.tickets != before {
		t.Errorf("tickets = %d, want %d", w.as.tickets, before)
	}
}

func TestSEC_21_WebSocketOverHTTP2IsAGet(t *testing.T) {
	r := httptest.NewRequest("CONNECT", "/x", nil)
	if got := rs.Method(r); got != "CONNECT" {
		t.Errorf("Method = %s, want CONNECT", got)
	}
	r.Header[":protocol"] = []string{"websocket"}
	if got := rs.Method(r); got != "CONNECT" {
		t.Errorf("Method over HTTP/1 = %s, want CONNECT", got)
	}
	r.ProtoMajor = 2
	if got := rs.Method(r); got != "GET" {
		t.Errorf("Method over HTTP/2 = %s, want GET", got)
	}
	r.ProtoMajor, r.Proto = 3, "websocket"
	if got := rs.Method(r); got != "GET" {
		t.Errorf("Method over HTTP/3 = %s, want GET", got)
	}
}

func TestTicket_ThatCannotStandInAHeader(t *testing.T) {
	w := newWorld(t)
	always := w.cfg.AS
	body := ""
	w.cfg.AS = func(c rs.Call, r *http.Request) (*http.Response, error) {
		if c != rs.CallPermission {
			return always(c, r)
		}
		return &http.Response{StatusCode: 201, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
	w.restart()
	for text, want := range map[string]int{
		`{"ticket":"abc-_.~"}`: 401, `{"ticket":""}`: 403, `{}`: 403, `[]`: 403, `{"ticket":"a\"b"}`: 403, `{"ticket":"a b"}`: 403,
		`{"ticket":"a\nb"}`: 403, `{"ticket":"a","ticket":"b"}`: 403, `{"ticket":"` + strings.Repeat("x", 9000) + `"}`: 403, `x`: 403,
	} {
		body = text
		if got := w.status("GET", ""); got != want {
			t.Errorf("%.40s = %d, want %d", text, got, want)
		}
	}
}

func TestOA_09_HeaderAlone(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	good := w.rpt()
	t.Run("lower case scheme", func(t *testing.T) {
		r := w.request("GET", "")
		r.Header.Set("Authorization", "bearer "+good)
		if g, f := w.rs.Check(r, rs.Target{Index: 0, Source: "s"}); g == nil {
			t.Errorf("refusal = %+v, want a grant", f)
		}
	})
	t.Run("query and form do not count", func(t *testing.T) {
		r := httptest.NewRequest("GET", resource+"/x?access_token="+good, strings.NewReader("access_token="+good))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if _, f := w.rs.Check(r, rs.Target{Index: 0, Source: "s"}); f == nil || f.Status != 401 {
			t.Errorf("refusal = %+v, want 401", f)
		}
	})
	t.Run("two lines", func(t *testing.T) {
		r := w.request("GET", good)
		r.Header.Add("Authorization", "Bearer "+good)
		if _, f := w.rs.Check(r, rs.Target{Index: 0, Source: "s"}); f == nil || f.Status != 400 {
			t.Errorf("refusal = %+v, want 400", f)
		}
	})
	for _, other := range []string{"DPoP " + good, "Basic YTpi", "UMA " + good, good, "Bearer", "Bearer " + good + ", Bearer " + good} {
		r := w.request("GET", "")
		r.Header.Set("Authorization", other)
		if _, f := w.rs.Check(r, rs.Target{Index: 0, Source: "s"}); f == nil || f.Status != 401 {
			t.Errorf("%.8s: refusal = %+v, want 401", other, f)
		}
	}
}
