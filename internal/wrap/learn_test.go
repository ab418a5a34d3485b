package wrap

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestNothingIsAskedAtLoad, and the first exchange learns where the endpoint is.
func TestFirstExchange(t *testing.T) {
	op := newOP()
	f := newFront(t, nil)
	if op.asked != 0 {
		t.Fatal("New asked the provider")
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if w := serve(t, f, post(theirToken, formType, goodForm), op); w.Body.String() != exchanged {
				t.Errorf("answer = %d %s", w.Code, w.Body)
			}
		})
	}
	wg.Wait()
	if op.asked != 1 {
		t.Errorf("the provider was asked %d times", op.asked)
	}
}

// TestUnknownEndpointFailsClosed: as long as nobody knows where the provider has
// its token endpoint, no exchange reaches it, and all the rest does.
func TestUnknownEndpointFailsClosed(t *testing.T) {
	tests := []struct {
		name   string
		r      func() *http.Request
		status int
	}{
		{"exchange", func() *http.Request { return post(theirToken, formType, goodForm) }, 503},
		{"exchange anywhere", func() *http.Request { return post("/x", formType, goodForm) }, 503},
		{"exchange in the query", func() *http.Request { return get("/x?" + goodForm) }, 503},
		{"body that cannot be looked at", func() *http.Request { return post("/x", "application/x-amz", "a=b") }, 503},
		{"body of unknown length", func() *http.Request {
			r := post("/x", formType, "a=b")
			r.ContentLength = -1
			return r
		}, 503},
		{"login form", func() *http.Request { return post("/dex/login", formType, "password=x") }, 200},
		{"another grant", func() *http.Request { return post(theirToken, formType, "grant_type=refresh_token") }, 200},
		{"page", func() *http.Request { return get("/dex/") }, 200},
	}
	for reason, change := range map[string]func(*fakeOP){
		"down":         func(o *fakeOP) { o.metadata = "" },
		"other issuer": func(o *fakeOP) { o.metadata = strings.Replace(o.metadata, theirIssuer, "https://evil.example", 1) },
		"no JSON":      func(o *fakeOP) { o.metadata = "{" },
		"two issuers":  func(o *fakeOP) { o.metadata = strings.Replace(o.metadata, "{", `{"issuer":"x",`, 1) },
		"no endpoint":  func(o *fakeOP) { o.metadata = `{"issuer":"` + theirIssuer + `","jwks_uri":"` + theirIssuer + `/keys"}` },
		"too large":    func(o *fakeOP) { o.metadata = `"` + strings.Repeat("x", maxDocument) + `"` },
		"relative":     func(o *fakeOP) { o.metadata = strings.Replace(o.metadata, theirIssuer+"/token", "/dex/token", 1) },
	} {
		op := newOP()
		change(op)
		f := newFront(t, nil)
		for _, tt := range tests {
			t.Run(reason+": "+tt.name, func(t *testing.T) {
				before, _ := op.requests()
				w := serve(t, f, tt.r(), op)
				after, _ := op.requests()
				if w.Code != tt.status || (len(after) > len(before)) != (tt.status == 200) {
					t.Errorf("answer = %d %s, reached the provider %v", w.Code, w.Body, len(after) > len(before))
				}
				if w.Code == 503 && w.Header().Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			})
		}
	}
}

// TestOthersDoNotWait: a request that needs no knowledge of the provider is not
// held up by a provider that does not answer for its metadata.
func TestOthersDoNotWait(t *testing.T) {
	release := make(chan struct{})
	op := newOP()
	slow := next(func(w http.ResponseWriter, r *http.Request) error {
		if strings.Contains(r.URL.Path, "/.well-known/") {
			<-release
		}
		return op.ServeHTTP(w, r)
	})
	f := newFront(t, merging("ES256"))
	for _, r := range []*http.Request{get("/dex/"), post("/dex/login", formType, "a=b"), post(theirToken, formType, "a=b")} {
		serve(t, f, r, slow) // would never return
	}
	if seen, _ := op.requests(); len(seen) != 3 {
		t.Errorf("%d requests passed", len(seen))
	}
	done := make(chan string)
	go func() { done <- serve(t, f, post(theirToken, formType, goodForm), slow).Body.String() }()
	close(release)
	if got := <-done; got != exchanged {
		t.Errorf("the exchange that waited: %s", got)
	}
	// Who goes away does not wait on.
	f = newFront(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	block := next(func(_ http.ResponseWriter, r *http.Request) error { <-r.Context().Done(); return r.Context().Err() })
	if _, err := f.learn.wait(get("/").WithContext(ctx), block); err == nil {
		t.Error("wait went on")
	}
}

// TestMetadataRequest: nothing of the request that made us ask comes along.
func TestMetadataRequest(t *testing.T) {
	op := newOP()
	var got *http.Request
	f := newFront(t, nil)
	r := post(theirToken, formType, goodForm)
	r.Host = "evil.example"
	r.Header.Set("X-Forwarded-Host", "evil.example")
	r.Header.Set("Authorization", "Bearer secret")
	serve(t, f, r, next(func(w http.ResponseWriter, r *http.Request) error {
		got = r
		return op.ServeHTTP(w, r)
	}))
	if got == nil || got.Host != "sso.bob.example" || got.TLS == nil || got.Method != http.MethodGet || len(got.Header) != 1 || got.Header.Get("Accept") == "" {
		t.Errorf("request for metadata = %+v", got)
	}
}

// TestKnowledgeGrowsOld: it is renewed behind the request's back and kept while
// the provider is down; failures are not repeated at once.
func TestKnowledgeGrowsOld(t *testing.T) {
	c, op := newClock(), newOP()
	logs, seen := observer.New(zap.ErrorLevel)
	f := newFront(t, func(cfg *Config) { cfg.Now, cfg.Log = c.now, zap.New(logs) })
	good := op.metadata
	ask := func() (asked int) {
		t.Helper()
		if w := serve(t, f, post(theirToken, formType, goodForm), op); w.Code != 200 && w.Code != 503 {
			t.Errorf("answer = %d", w.Code)
		}
		f.learn.group.Do("", func() (any, error) { return nil, nil }) //nolint:errcheck // waits for what runs in the background
		op.set(func(o *fakeOP) { asked = o.asked })
		return asked
	}
	op.set(func(o *fakeOP) { o.metadata = "" })
	if got := ask(); got != 1 {
		t.Fatalf("asked %d times", got)
	}
	if got := ask(); got != 1 {
		t.Errorf("asked again within the pause: %d", got)
	}
	op.set(func(o *fakeOP) { o.metadata = good })
	c.add(pauseFor)
	if got := ask(); got != 2 {
		t.Errorf("after the pause: %d", got)
	}
	c.add(freshFor - time.Second)
	if got := ask(); got != 2 {
		t.Errorf("while fresh: %d", got)
	}
	op.set(func(o *fakeOP) { o.metadata = "" })
	c.add(time.Second)
	if got := ask(); got != 3 {
		t.Errorf("when old: %d", got)
	}
	if w := serve(t, f, post(theirToken, formType, goodForm), op); w.Body.String() != exchanged {
		t.Errorf("with old knowledge: %d %s", w.Code, w.Body)
	}
	op.set(func(o *fakeOP) { o.metadata = strings.Replace(good, "/token", "/token2", 1) })
	c.add(pauseFor)
	ask()
	if w := serve(t, f, post("/dex/token2", formType, goodForm), op); w.Body.String() != exchanged {
		t.Errorf("at the new place: %d %s", w.Code, w.Body)
	}
	if seen.Len() != 2 || !strings.Contains(seen.All()[0].ContextMap()["error"].(string), "is there a reverse_proxy") {
		t.Errorf("log = %v", seen.All())
	}
}

// TestOtherPlaces of metadata and endpoints.
func TestOtherPlaces(t *testing.T) {
	oauthOnly := next(func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path != "/.well-known/oauth-authorization-server/dex" {
			http.NotFound(w, r)
			return nil
		}
		document(w, newOP().metadata)
		return nil
	})
	f := newFront(t, nil)
	if w := serve(t, f, post(theirToken, formType, goodForm), oauthOnly); w.Body.String() != exchanged {
		t.Errorf("RFC 8414 metadata: %d %s", w.Code, w.Body)
	}
	op := newOP()
	op.metadata = strings.ReplaceAll(op.metadata, theirIssuer+"/", "https://api.bob.example/dex/")
	f = newFront(t, nil)
	serve(t, f, post(theirToken, formType, goodForm), op)
	if seen, _ := op.requests(); len(seen) != 1 {
		t.Error("a path that is no token endpoint of the provider was not passed on")
	}
}

// TestPanics: a handler that breaks off an answer of ours takes nobody along.
func TestPanics(t *testing.T) {
	for _, p := range []any{http.ErrAbortHandler, "bug"} {
		f := newFront(t, nil)
		w := serve(t, f, post(theirToken, formType, goodForm), next(func(http.ResponseWriter, *http.Request) error { panic(p) }))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("answer = %d %s", w.Code, w.Body)
		}
	}
	f := newFront(t, merging("ES256"))
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("an answer that the provider breaks off went on: %v", err)
		}
	}()
	_ = f.ServeHTTP(httptest.NewRecorder(), get(theirKeys+"?"), next(func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path != theirKeys {
			return newOP().ServeHTTP(w, r)
		}
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	}))
}
