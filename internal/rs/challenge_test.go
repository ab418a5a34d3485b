package rs_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/limit"
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
		if _, f := w.rs.Check(w.request(c.method, ""), c.index, "s"); f == nil || f.Status != 401 {
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
	if _, f := w.rs.Check(w.request("GET", ""), -1, "s"); f == nil || f.Status != 403 {
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

func TestUG_11_NoTicketNoChallenge(t *testing.T) {
	for name, breakIt := range map[string]func(*fakeAS){
		"down":              func(a *fakeAS) { a.down = true },
		"no metadata":       func(a *fakeAS) { a.path = "/elsewhere" },
		"permission fails":  func(a *fakeAS) { a.failWith = 500 },
		"permission denied": func(a *fakeAS) { a.failWith = 403 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			breakIt(w.as)
			for _, token := range []string{"", "garbage"} {
				_, f := w.check("GET", token)
				if f.Status != 403 || f.Header.Get("WWW-Authenticate") != "" {
					t.Fatalf("refusal = %+v, want 403 without a challenge", f)
				}
				if got := f.Header.Get("Warning"); got != `199 - "UMA Authorization Server Unreachable"` {
					t.Errorf("Warning = %q", got)
				}
			}
		})
	}
	t.Run("UG-11 recovers", func(t *testing.T) {
		w := newWorld(t)
		w.as.set(func() { w.as.down = true })
		if got := w.status("GET", ""); got != 403 {
			t.Fatalf("status = %d, want 403", got)
		}
		w.as.set(func() { w.as.down = false })
		w.now = w.now.Add(time.Second)
		if got := w.status("GET", ""); got != 401 {
			t.Errorf("status = %d, want 401", got)
		}
	})
}

func TestOD_14_MetadataOfAnotherIssuer(t *testing.T) {
	for _, other := range []string{"https://other.example", issuer + "/", "https://AS.example", ""} {
		w := newWorld(t)
		w.as.issuer = other
		if got := w.status("GET", ""); got != 403 {
			t.Errorf("issuer %q: status = %d, want 403", other, got)
		}
		if n := w.as.count("POST /token"); n != 0 {
			t.Errorf("issuer %q: the secret went out %d times", other, n)
		}
	}
}

func TestOD_14_MetadataIsReadAgain(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	w.as.set(func() { w.as.path = "/gone" })
	w.now = w.now.Add(16 * time.Minute)
	if got := w.status("GET", ""); got != 401 {
		t.Errorf("while it cannot be read = %d, want 401", got)
	}
	w.as.set(func() { w.as.path, w.as.issuer = "/.well-known/uma2-configuration", "https://other.example" })
	w.now = w.now.Add(2 * time.Second)
	if got := w.status("GET", ""); got != 403 {
		t.Errorf("of another issuer = %d, want 403", got)
	}
}

// TestUG_02_UnknownMembers: every answer of the fake holds some; a wrong type of
// a known member is refused.
func TestUG_02_UnknownMembersAreIgnored(t *testing.T) {
	w := newWorld(t)
	w.as.resources["foreign"] = map[string]any{"name": "other", "resource_scopes": []any{"x"}, "unknown": map[string]any{"y": 1}}
	if got := w.status("GET", ""); got != 401 {
		t.Errorf("status = %d, want 401", got)
	}
	always := w.cfg.AS
	w.cfg.AS = func(c rs.Call, r *http.Request) (*http.Response, error) {
		if c != rs.CallPermission {
			return always(c, r)
		}
		return &http.Response{StatusCode: 201, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"ticket":1}`))}, nil
	}
	w.restart()
	if got := w.status("GET", ""); got != 403 {
		t.Errorf("status = %d, want 403", got)
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

func TestMetadata_OfAnIssuerWithAPath(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) { c.Issuer = issuer + "/tenant" })
	w.as.issuer, w.as.path = issuer+"/tenant", "/.well-known/uma2-configuration/tenant"
	if got := w.status("GET", ""); got != 401 {
		t.Errorf("status = %d, want 401", got)
	}
	w.as.path = "/tenant/.well-known/uma2-configuration"
	w.restart()
	if got := w.status("GET", ""); got != 401 {
		t.Errorf("status = %d, want 401", got)
	}
}

func TestUG_65_RefusalTellsNothingOfTheOwner(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) {
		c.Owner = "alice"
		c.Resources = []rs.Resource{{Name: "secret diary", Type: "urn:diary", Description: "of alice"}}
	})
	for _, accept := range []string{"", "text/html"} {
		_, f := w.check("GET", "")
		rec := httptest.NewRecorder()
		r := w.request("GET", "")
		r.Header.Set("Accept", accept)
		f.Write(rec, r)
		all := rec.Body.String()
		for name, values := range rec.Header() {
			all += name + strings.Join(values, " ")
		}
		for _, word := range []string{"diary", "alice", "get", "id-1", "api\""} {
			if strings.Contains(all, word) {
				t.Errorf("the refusal contains %q: %s", word, all)
			}
		}
		if strings.Contains(rec.Body.String(), "ticket-") {
			t.Errorf("the body contains the ticket: %s", rec.Body)
		}
	}
}

func TestRefusal_Forms(t *testing.T) {
	for _, c := range []struct{ accept, want string }{
		{"", "application/problem+json"},
		{"*/*", "application/problem+json"},
		{"text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"},
		{"application/json, text/html;q=0.9", "application/problem+json"},
		{"application/json;q=0.1, text/html;q=0.9", "text/html; charset=utf-8"},
		{"text/html;q=0", "application/problem+json"},
		{"text/html;q=x", "application/problem+json"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", c.accept)
		rec := httptest.NewRecorder()
		rs.Forbidden().Write(rec, r)
		if got := rec.Header().Get("Content-Type"); got != c.want {
			t.Errorf("Accept %q: Content-Type = %q, want %q", c.accept, got, c.want)
		}
		if rec.Code != 403 || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("answer = %d %v", rec.Code, rec.Header())
		}
	}
	rec := httptest.NewRecorder()
	rs.Forbidden().Write(rec, httptest.NewRequest("GET", "/", nil))
	var problem map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil || problem["status"] != 403.0 {
		t.Errorf("problem = %v, %v", problem, err)
	}
}

func TestSEC_18_TicketsAreLimited(t *testing.T) {
	w := newWorld(t)
	w.cfg.Limiter = limit.New(2, time.Minute, 10, w.cfg.Now)
	w.restart()
	for i, want := range []int{401, 401, 429, 429} {
		_, f := w.check("GET", "")
		if f.Status != want {
			t.Fatalf("request %d = %d, want %d", i, f.Status, want)
		}
		if want == 429 && (f.Header.Get("Retry-After") == "" || f.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("header = %v, want Retry-After and no challenge", f.Header)
		}
	}
	if w.as.tickets != 2 {
		t.Errorf("tickets = %d, want 2", w.as.tickets)
	}
	if _, f := w.rs.Check(w.request("GET", ""), 0, "198.51.100.1"); f.Status != 401 {
		t.Errorf("another source = %d, want 401", f.Status)
	}
	if got := w.status("GET", w.rpt()); got != 200 {
		t.Errorf("with an RPT = %d, want 200", got)
	}
	w.now = w.now.Add(time.Minute)
	if got := w.status("GET", ""); got != 401 {
		t.Errorf("a minute later = %d, want 401", got)
	}
}

func TestSEC_18_PreflightMintsNothing(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) { c.Scopes = []rs.Scope{{Name: "use", Methods: []string{"*"}}} })
	r := w.request("OPTIONS", "")
	r.Header.Set("Origin", "https://app.example")
	r.Header.Set("Access-Control-Request-Method", "GET")
	if _, f := w.rs.Check(r, 0, "s"); f == nil || f.Status != 403 {
		t.Errorf("preflight = %+v, want 403", f)
	}
	if w.as.tickets != 0 {
		t.Errorf("tickets = %d, want 0", w.as.tickets)
	}
	if got := w.status("OPTIONS", ""); got != 401 {
		t.Errorf("plain OPTIONS = %d, want 401", got)
	}
}

func TestOA_09_HeaderAlone(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	good := w.rpt()
	t.Run("lower case scheme", func(t *testing.T) {
		r := w.request("GET", "")
		r.Header.Set("Authorization", "bearer "+good)
		if g, f := w.rs.Check(r, 0, "s"); g == nil {
			t.Errorf("refusal = %+v, want a grant", f)
		}
	})
	t.Run("query and form do not count", func(t *testing.T) {
		r := httptest.NewRequest("GET", resource+"/x?access_token="+good, strings.NewReader("access_token="+good))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if _, f := w.rs.Check(r, 0, "s"); f == nil || f.Status != 401 {
			t.Errorf("refusal = %+v, want 401", f)
		}
	})
	t.Run("two lines", func(t *testing.T) {
		r := w.request("GET", good)
		r.Header.Add("Authorization", "Bearer "+good)
		if _, f := w.rs.Check(r, 0, "s"); f == nil || f.Status != 400 {
			t.Errorf("refusal = %+v, want 400", f)
		}
	})
	for _, other := range []string{"DPoP " + good, "Basic YTpi", "UMA " + good, good, "Bearer", "Bearer " + good + ", Bearer " + good} {
		r := w.request("GET", "")
		r.Header.Set("Authorization", other)
		if _, f := w.rs.Check(r, 0, "s"); f == nil || f.Status != 401 {
			t.Errorf("%.8s: refusal = %+v, want 401", other, f)
		}
	}
}

func TestUF_06_PATIsRenewed(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	if n := w.as.count("POST /token"); n != 1 {
		t.Fatalf("PATs = %d, want 1", n)
	}
	t.Run("UF-06 after 401", func(t *testing.T) {
		w.as.set(func() { w.as.pat++ })
		if got := w.status("GET", ""); got != 401 {
			t.Errorf("status = %d, want 401", got)
		}
		if n := w.as.count("POST /token"); n != 2 {
			t.Errorf("PATs = %d, want 2", n)
		}
	})
	t.Run("UF-06 before it expires", func(t *testing.T) {
		w.now = w.now.Add(59*time.Minute + time.Second)
		w.status("GET", "")
		if n := w.as.count("POST /token"); n != 3 {
			t.Errorf("PATs = %d, want 3", n)
		}
	})
	t.Run("UF-06 only one retry", func(t *testing.T) {
		always := w.cfg.AS
		calls := 0
		w.cfg.AS = func(c rs.Call, r *http.Request) (*http.Response, error) {
			if c == rs.CallPermission {
				calls++
				return &http.Response{StatusCode: 401, Body: http.NoBody, Header: http.Header{}}, nil
			}
			return always(c, r)
		}
		w.restart()
		if got := w.status("GET", ""); got != 403 || calls != 2 {
			t.Errorf("status = %d after %d calls, want 403 after 2", got, calls)
		}
	})
}

func TestPAT_Request(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	if want := "grant_type=client_credentials&scope=uma_protection"; w.as.form != want {
		t.Errorf("form = %s, want %s", w.as.form, want)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", w.as.basic)
	if id, secret, _ := r.BasicAuth(); id != clientID || secret != "s3cret%2F%2B" {
		t.Errorf("Basic = %q %q, want form-encoded credentials (RFC 6749 §2.3.1)", id, secret)
	}
	w.cfg.ClientSecret = ""
	w.restart()
	w.status("GET", "")
	if want := "client_id=api&grant_type=client_credentials&scope=uma_protection"; w.as.form != want || w.as.basic != "" {
		t.Errorf("form = %s, Authorization = %q, want the name alone", w.as.form, w.as.basic)
	}
}

func TestResourceURI_BothSides(t *testing.T) {
	for _, c := range []struct {
		name, mine, theirs string
		want               int
	}{
		{"learned", "", resource, 401},
		{"configured", resource, "", 401},
		{"equal", resource, resource, 401},
		{"different", resource, "https://other.example", 403},
		{"neither", "", "", 403},
		{"not canonical", "", "https://API.example", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(cfg *rs.Config) { cfg.ResourceURI = c.mine })
			w.as.uri = c.theirs
			_, f := w.check("GET", "")
			if f.Status != c.want || c.want == 403 && f.Header.Get("Warning") == "" {
				t.Errorf("refusal = %+v, want %d", f, c.want)
			}
		})
	}
}

func TestUF_20_ConcurrentFirstRequestsRegisterOnce(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, f := w.rs.Check(w.request("GET", ""), 0, "s"); f == nil || f.Status != 401 {
				t.Errorf("refusal = %+v, want 401", f)
			}
		})
	}
	wg.Wait()
	if n, m := w.as.count("POST /resource"), w.as.count("POST /token"); n != 1 || m != 1 {
		t.Errorf("registrations = %d, PATs = %d, want 1 and 1", n, m)
	}
}

func TestCA_04_UF_20_Registration(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) {
		c.Resources = []rs.Resource{{
			Name: "RS API", Type: "urn:t", Description: "d", IconURI: "https://i.example/i",
			Scopes: []rs.Scope{{Name: "get"}, {Name: "post"}},
		}}
	})
	w.as.resources["foreign"] = map[string]any{"name": "other", "resource_scopes": []any{"x"}}
	if n := w.as.count("GET /resource"); n != 0 {
		t.Errorf("the authorization server was called %d times before the first request", n)
	}
	w.status("GET", "")
	want := map[string]any{
		"name": "RS API", "type": "urn:t", "description": "d", "icon_uri": "https://i.example/i",
		"resource_scopes": []any{"get", "post"},
	}
	if diff := cmp.Diff(want, w.as.resources["id-1"]); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
	for range 2 {
		w.restart()
		w.status("GET", "")
	}
	if diff := cmp.Diff([]string{"RS API[get post]", "other[x]"}, w.as.sortedNames()); diff != "" {
		t.Errorf("after two restarts (-want +got):\n%s", diff)
	}
	if n := w.as.count("PUT /resource/id-1"); n != 0 {
		t.Errorf("updates = %d, want 0", n)
	}
	w.cfg.Resources[0].Scopes = []rs.Scope{{Name: "get"}, {Name: "put"}}
	w.restart()
	w.status("GET", "")
	if diff := cmp.Diff([]string{"RS API[get put]", "other[x]"}, w.as.sortedNames()); diff != "" {
		t.Errorf("after a change (-want +got):\n%s", diff)
	}
}

func TestUF_20_LostResourceIsRegisteredAgain(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	w.as.set(func() { clear(w.as.resources) })
	if got := w.status("GET", ""); got != 401 {
		t.Fatalf("status = %d, want 401", got)
	}
	if diff := cmp.Diff([]string{resource + "[get]"}, w.as.sortedNames()); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
	if got := w.status("GET", w.rpt()); got != 401 {
		t.Errorf("an RPT for the lost resource = %d, want 401", got)
	}
	t.Run("only one retry", func(t *testing.T) {
		always := w.cfg.AS
		calls := 0
		w.cfg.AS = func(c rs.Call, r *http.Request) (*http.Response, error) {
			if c == rs.CallPermission {
				calls++
				w.as.set(func() { clear(w.as.resources) })
			}
			return always(c, r)
		}
		w.restart()
		if got := w.status("GET", ""); got != 403 || calls != 2 {
			t.Errorf("status = %d after %d calls, want 403 after 2", got, calls)
		}
	})
}
