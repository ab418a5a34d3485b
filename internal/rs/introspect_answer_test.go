package rs_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

func TestOA_14_Accept(t *testing.T) {
	const signed = "application/" + typIntrospection
	for signs, want := range map[bool]string{false: signed + ", application/json;q=0.9", true: signed} {
		w := newWorld(t)
		w.as.tokens, w.as.signs = map[string]map[string]any{}, signs
		w.status("GET", "")
		w.status("GET", w.opaque("x"))
		if got := w.as.asked[0].Header.Get("Accept"); got != want {
			t.Errorf("signs %v: Accept = %q, want %q", signs, got, want)
		}
	}
}

// What cannot be relied on says nothing of the token: 503, and no ticket.
func TestOA_14_Answers(t *testing.T) {
	const plain = "application/json"
	good := func(w *world) map[string]any { return w.as.envelope(w.as.describe("rpt_x")) }
	jwt := func(header, claims map[string]any) func(*world, http.ResponseWriter) {
		return func(w *world, rw http.ResponseWriter) {
			h, c := map[string]any{"alg": "ES256", "kid": "k1", "typ": typIntrospection}, good(w)
			for name, value := range header {
				set(name, value)(h)
			}
			for name, value := range claims {
				set(name, value)(c)
			}
			w.as.answerJWT(rw, sign(t, w.as.keys["k1"], h, c))
		}
	}
	text := func(contentType, body string) func(*world, http.ResponseWriter) {
		return func(_ *world, rw http.ResponseWriter) {
			rw.Header().Set("Content-Type", contentType)
			_, _ = rw.Write([]byte(body))
		}
	}
	const members = `"sub":"u-1","aud":"https://api.example","client_id":"c","exp":1795521900,"permissions":[{"resource_id":"id-1","resource_scopes":["get"]}]`
	for _, c := range []struct {
		name   string
		signs  bool
		answer func(*world, http.ResponseWriter)
		want   int
	}{
		{"OA-14 signed", false, jwt(nil, nil), 200},
		{"OA-14 signed, as promised", true, jwt(nil, nil), 200},
		{"OA-14 typ in full", true, jwt(map[string]any{"typ": "application/" + typIntrospection}, nil), 200},
		{"OA-14 inactive", true, jwt(nil, map[string]any{"token_introspection": map[string]any{"active": false}}), 401},
		{"OA-14 typ of an RPT", true, jwt(map[string]any{"typ": "at+jwt"}, nil), 503},
		{"OA-14 no typ", true, jwt(map[string]any{"typ": nil}, nil), 503},
		{"OA-14 unknown key", true, jwt(map[string]any{"kid": "k2"}, nil), 503},
		{"OA-14 alg none", true, jwt(map[string]any{"alg": "none"}, nil), 503},
		{"OA-14 foreign iss", true, jwt(nil, map[string]any{"iss": "https://b.example"}), 503},
		{"OA-14 no iss", true, jwt(nil, map[string]any{"iss": nil}), 503},
		{"OA-14 foreign aud", true, jwt(nil, map[string]any{"aud": "https://b.example"}), 503},
		{"OA-14 aud of two", true, jwt(nil, map[string]any{"aud": []any{resource, "https://b.example"}}), 503},
		{"OA-14 aud array of one", true, jwt(nil, map[string]any{"aud": []any{resource}}), 200},
		{"OA-14 no aud", true, jwt(nil, map[string]any{"aud": nil}), 503},
		{"OA-14 no iat", true, jwt(nil, map[string]any{"iat": nil}), 503},
		{"OA-14 iat of the future", true, jwt(nil, map[string]any{"iat": start.Add(61 * time.Second).Unix()}), 503},
		{"OA-14 iat within leeway", true, jwt(nil, map[string]any{"iat": start.Add(60 * time.Second).Unix()}), 200},
		{"OA-14 recorded", true, jwt(nil, map[string]any{"iat": start.Add(-71 * time.Second).Unix()}), 503},
		{"OA-14 iat as old as an answer may be", true, jwt(nil, map[string]any{"iat": start.Add(-70 * time.Second).Unix()}), 200},
		{"OA-14 no description", true, jwt(nil, map[string]any{"token_introspection": nil}), 503},
		{"OA-14 description is text", true, jwt(nil, map[string]any{"token_introspection": `{"active":true}`}), 503},
		{"OA-14 no active", true, jwt(nil, map[string]any{"token_introspection": map[string]any{}}), 503},
		{"OA-14 tampered", true, func(w *world, rw http.ResponseWriter) {
			key, header := w.as.keys["k1"], map[string]any{"alg": "ES256", "kid": "k1", "typ": typIntrospection}
			a := strings.Split(sign(t, key, header, w.as.envelope(map[string]any{"active": false})), ".")
			b := strings.Split(sign(t, key, header, good(w)), ".")
			w.as.answerJWT(rw, a[0]+"."+b[1]+"."+a[2])
		}, 503},
		{"OA-14 JSON of a server that signs", true, func(w *world, rw http.ResponseWriter) { w.as.json(rw, 200, w.as.describe("rpt_x")) }, 503},
		{"OA-14 an inactive one of a server that signs", true, text(plain, `{"active":false}`), 503},
		{"OA-14 JSON called a JWT", true, text("application/"+typIntrospection, `{"active":true,`+members+`}`), 503},
		{"JSON", false, text(plain, `{"active":true,`+members+`}`), 200},
		{"JSON with a charset", false, text(plain+"; charset=utf-8", `{"active":true,`+members+`}`), 200},
		{"a page", false, text("text/html", `{"active":true,`+members+`}`), 503},
		{"no media type", false, text("", `{"active":true,`+members+`}`), 503},
		{"active is text", false, text(plain, `{"active":"true",`+members+`}`), 503},
		{"active is a number", false, text(plain, `{"active":1,`+members+`}`), 503},
		{"active is null", false, text(plain, `{"active":null,`+members+`}`), 503},
		{"active in upper case", false, text(plain, `{"Active":true,`+members+`}`), 503},
		{"active twice", false, text(plain, `{"active":false,"active":true,`+members+`}`), 503},
		{"sub twice", false, text(plain, `{"active":true,"sub":"u-2",`+members+`}`), 503},
		{"something behind", false, text(plain, `{"active":true,`+members+`}{}`), 503},
		{"an array", false, text(plain, `[{"active":true,`+members+`}]`), 503},
		{"nothing", false, text(plain, ``), 503},
		{"huge", false, text(plain, `{"active":true,`+members+`,"x":"`+strings.Repeat("x", 64<<10)+`"}`), 503},
		{"deep", false, text(plain, `{"active":true,`+members+`,"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`}`), 503},
		{"an error", false, func(w *world, rw http.ResponseWriter) { w.as.json(rw, 400, map[string]any{"active": true}) }, 503},
		{"a redirect", false, func(_ *world, rw http.ResponseWriter) { rw.WriteHeader(302) }, 503},
		{"created", false, func(w *world, rw http.ResponseWriter) { w.as.json(rw, 201, w.as.describe("rpt_x")) }, 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.as.tokens, w.as.signs = map[string]map[string]any{}, c.signs
			w.status("GET", "")
			token := w.opaque("x")
			w.as.introspect = func(rw http.ResponseWriter, _ string) { c.answer(w, rw) }
			tickets := w.as.count("POST /permission")
			_, f := w.rs.Check(w.request("GET", token), rs.Target{Source: "s"})
			got := 200
			if f != nil {
				got = f.Status
			}
			if got != c.want {
				t.Fatalf("status = %d, want %d", got, c.want)
			}
			if asked := w.as.count("POST /permission") - tickets; asked != map[int]int{401: 1}[got] {
				t.Errorf("%d tickets", asked)
			}
			e := w.events[len(w.events)-1]
			if want := map[int]event.Outcome{200: event.Granted, 401: event.Refused, 503: event.Failed}[got]; e.Outcome != want || e.Source != "introspection" {
				t.Errorf("event = %+v, want %s by introspection", e, want)
			}
			if got == 503 && (f.Header.Get("WWW-Authenticate") != "" || f.Header.Get("Retry-After") == "") {
				t.Errorf("header = %v", f.Header)
			}
		})
	}
}

// A panic in the way to the authorization server ends one request, not the process.
func TestUF_28_PanicIsAFailure(t *testing.T) {
	w := newAsking(t)
	as := w.cfg.AS
	w.cfg.AS = func(call rs.Call, r *http.Request) (*http.Response, error) {
		if call == rs.CallIntrospection {
			panic("x")
		}
		return as(call, r)
	}
	w.restart()
	w.wantStatus("rpt_x", 503)
	w.wantStatus("rpt_x", 503)
}

// Whatever the answer, a request passes only if it says so in the one way there is.
func FuzzIntrospectionAnswer(f *testing.F) {
	f.Add([]byte(`{"active":true,"sub":"u-1","aud":"https://api.example","client_id":"c","exp":1795521900,"permissions":[{"resource_id":"id-1","resource_scopes":["get"]}]}`), false)
	f.Add([]byte(`{"active":false}`), false)
	f.Add([]byte(`{"active":true,"active":false,"cnf":null,"status":{},"permissions":[null]}`), false)
	f.Add([]byte(`eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIiwidHlwIjoidG9rZW4taW50cm9zcGVjdGlvbitqd3QifQ.e30.AA`), true)
	w := newWorld(&testing.T{})
	w.as.tokens = map[string]map[string]any{}
	var body []byte
	mediaType := ""
	w.as.introspect = func(rw http.ResponseWriter, _ string) {
		rw.Header().Set("Content-Type", mediaType)
		_, _ = rw.Write(body)
	}
	f.Fuzz(func(t *testing.T, answer []byte, signed bool) {
		w.t, w.as.t = t, t
		body, mediaType = answer, "application/json"
		if signed {
			mediaType = "application/" + typIntrospection
		}
		w.restart()
		g, _ := w.rs.Check(w.request("GET", "rpt_x"), rs.Target{Source: "s"})
		if g == nil {
			return
		}
		var said map[string]any
		if err := json.Unmarshal(answer, &said); err != nil || signed || said["active"] != true || said["sub"] != g.Subject || g.Subject == "" {
			t.Errorf("%q gives %+v", answer, g)
		}
	})
}
