package wrap

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

const (
	openID = "/dex/.well-known/openid-configuration"
	oauth2 = "/.well-known/oauth-authorization-server/dex"
)

func members(t *testing.T, body string) map[string]json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	return m
}

func TestA28_MetadataIsMerged(t *testing.T) {
	op := newOP()
	op.header = http.Header{"Etag": {`"theirs"`}, "Last-Modified": {"x"}, "X-Frame-Options": {"DENY"}, "Cache-Control": {"public, max-age=60"}}
	f := newFront(t, merging("ES256"))
	r := get(openID)
	for name, value := range map[string]string{"Accept-Encoding": "gzip", "If-None-Match": `"theirs"`} {
		r.Header.Set(name, value)
	}
	w := serve(t, f, r, next(func(w http.ResponseWriter, r *http.Request) error {
		if r.Header.Get("Accept-Encoding") != "" || r.Header.Get("If-None-Match") != "" {
			t.Errorf("the provider got %v", r.Header)
		}
		return op.ServeHTTP(w, r)
	}))
	got, theirs := members(t, w.Body.String()), members(t, op.metadata)
	want := theirs
	want["grant_types_supported"] = json.RawMessage(`["authorization_code","` + urn + `"]`)
	want["token_endpoint_auth_methods_supported"] = json.RawMessage(`["client_secret_basic","none"]`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	h := w.Header()
	if w.Code != 200 || h.Get("ETag") == `"theirs"` || h.Get("ETag") == "" || h.Get("Last-Modified") != "" ||
		h.Get("X-Frame-Options") != "DENY" || h.Get("Cache-Control") != "public, max-age=60" || !strings.HasPrefix(h.Get("Content-Type"), "application/json") {
		t.Errorf("answer = %d %v", w.Code, h)
	}
	r = get(openID)
	r.Header.Set("If-None-Match", h.Get("ETag"))
	if w := serve(t, f, r, op); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Errorf("If-None-Match with our ETag = %d", w.Code)
	}
	r = get(openID)
	r.Method = http.MethodHead
	if head := serve(t, f, r, op); head.Code != 200 || head.Body.Len() > 0 || head.Header().Get("Content-Length") != h.Get("Content-Length") || h.Get("Content-Length") == "" {
		t.Errorf("HEAD = %d %v", head.Code, head.Header())
	}
}

// TestMetadataDefaults: a list that the provider does not write has a meaning.
func TestMetadataDefaults(t *testing.T) {
	op := newOP()
	op.metadata = strings.Replace(op.metadata, `"grant_types_supported":["authorization_code"],`, "", 1)
	got := members(t, serve(t, newFront(t, merging("ES256")), get(openID), op).Body.String())
	if want := `["authorization_code","implicit","` + urn + `"]`; string(got["grant_types_supported"]) != want {
		t.Errorf("grant_types_supported = %s, want %s", got["grant_types_supported"], want)
	}
}

func TestOD_12_OAuthMetadataIsMerged(t *testing.T) {
	op := newOP()
	both := next(func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path == oauth2 {
			document(w, strings.Replace(op.metadata, "id_token_signing", "other_signing", 1))
			return nil
		}
		return op.ServeHTTP(w, r)
	})
	if w := serve(t, newFront(t, merging("ES256")), get(oauth2), both); w.Code != 200 || !strings.Contains(w.Body.String(), urn) {
		t.Errorf("answer = %d %s", w.Code, w.Body)
	}
	// What signs ID tokens stands in the other document.
	op.metadata = strings.Replace(op.metadata, "RS256", "ES256", 1)
	if w := serve(t, newFront(t, merging("ES256")), get(oauth2), both); w.Code != 503 {
		t.Errorf("answer = %d %s", w.Code, w.Body)
	}
	// A provider without the document has none.
	bare := next(func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path == oauth2 {
			http.Error(w, "their own 404", http.StatusNotFound)
			return nil
		}
		return op.ServeHTTP(w, r)
	})
	if w := serve(t, newFront(t, merging("ES256")), get(oauth2), bare); w.Code != 404 || w.Body.String() != "their own 404\n" {
		t.Errorf("answer = %d %s", w.Code, w.Body)
	}
}

func TestA28_KeysAreMerged(t *testing.T) {
	op := newOP()
	op.header = http.Header{"Cache-Control": {"max-age=86400"}, "Expires": {"x"}}
	w := serve(t, newFront(t, merging("ES256")), get(theirKeys), op)
	got, theirs := members(t, w.Body.String()), members(t, op.keys)
	var keys, before []json.RawMessage
	_ = json.Unmarshal(got["keys"], &keys)
	_ = json.Unmarshal(theirs["keys"], &before)
	if len(keys) != 2 || string(keys[0]) != string(before[0]) || string(got["more"]) != "1.50" {
		t.Fatalf("keys = %s", w.Body)
	}
	var ours struct{ KID, Alg, Use string }
	if err := json.Unmarshal(keys[1], &ours); err != nil || ours.KID != "ours" || ours.Alg != "ES256" || ours.Use != "sig" {
		t.Errorf("our key = %s, %v", keys[1], err)
	}
	if h := w.Header(); h.Get("Cache-Control") != "public, max-age=300" || h.Get("Expires") != "" {
		t.Errorf("header = %v", h)
	}
	op.header = http.Header{"Cache-Control": {"no-store"}}
	if w := serve(t, newFront(t, merging("ES256")), get(theirKeys), op); w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("header = %v", w.Header())
	}
}

// TestA28_NothingPartial: what cannot be merged whole is not published.
func TestA28_NothingPartial(t *testing.T) {
	tests := []struct {
		name   string
		op     func(*fakeOP)
		config func(*Config)
		path   string
		status int
		says   string
	}{
		{"key set down", func(o *fakeOP) { o.keys = "" }, nil, theirKeys, 503, "down\n"},
		{"key set is no JSON", func(o *fakeOP) { o.keys = "{" }, nil, theirKeys, 503, "temporarily_unavailable"},
		{"key set without keys", func(o *fakeOP) { o.keys = "{}" }, nil, theirKeys, 503, "temporarily_unavailable"},
		{"keys are no list", func(o *fakeOP) { o.keys = `{"keys":{}}` }, nil, theirKeys, 503, "temporarily_unavailable"},
		{"keys twice", func(o *fakeOP) { o.keys = `{"keys":[],"keys":[]}` }, nil, theirKeys, 503, "temporarily_unavailable"},
		{"a key is no object", func(o *fakeOP) { o.keys = `{"keys":["x"]}` }, nil, theirKeys, 503, "temporarily_unavailable"},
		{"kid collides", func(o *fakeOP) { o.keys = `{"keys":[{"kid":"ours"}]}` }, nil, theirKeys, 503, "temporarily_unavailable"},
		{"kid in other spelling", func(o *fakeOP) { o.keys = `{"keys":[{"kid":"\u006furs"}]}` }, nil, theirKeys, 503, "temporarily_unavailable"},
		{"two keys of theirs with one kid", func(o *fakeOP) { o.keys = `{"keys":[{"kid":"x"},{"kid":"x"},{},{}]}` }, nil, theirKeys, 200, `"ours"`},
		{"key set too large", func(o *fakeOP) { o.keys = `{"keys":[],"x":"` + strings.Repeat("x", maxDocument) + `"}` }, nil, theirKeys, 503, "temporarily_unavailable"},
		{"compressed unasked", func(o *fakeOP) { o.packed = true }, nil, theirKeys, 503, "temporarily_unavailable"},
		{"metadata of another issuer", func(o *fakeOP) { o.metadata = strings.Replace(o.metadata, theirIssuer, "https://x.example", 1) }, nil, openID, 503, "temporarily_unavailable"},
		{"metadata is no JSON", func(o *fakeOP) { o.metadata = "[" }, nil, openID, 503, "temporarily_unavailable"},
		{"list of grants is none", func(o *fakeOP) { o.metadata = strings.Replace(o.metadata, `["authorization_code"]`, `"x"`, 1) }, nil, openID, 503, "temporarily_unavailable"},
		{"metadata down", func(o *fakeOP) { o.metadata = "" }, nil, openID, 503, "down\n"},
		{"their ID tokens have our algorithm", nil, merging("RS256"), openID, 503, "set the global option 'algorithm'"},
		{"their ID tokens have our algorithm, keys", nil, merging("RS256"), theirKeys, 503, "set the global option 'algorithm'"},
		{"their ID tokens have our curve", func(o *fakeOP) { o.metadata = strings.Replace(o.metadata, "RS256", "Ed25519", 1) }, merging("EdDSA"), openID, 503, "set the global option 'algorithm'"},
		{"their ID tokens have no algorithm written", func(o *fakeOP) { o.metadata = strings.Replace(o.metadata, "id_token_signing", "x", 1) }, merging("RS256"), openID, 503, "set the global option 'algorithm'"},
		{"endpoints elsewhere", func(o *fakeOP) {
			o.metadata = strings.ReplaceAll(o.metadata, theirIssuer+"/", "https://x.example/")
		}, nil, openID, 503, "on the host of its issuer"},
		{"our keys cannot be read", nil, keysOf(nil, errors.New("secret path")), theirKeys, 503, "temporarily_unavailable"},
		{"we have no key", nil, keysOf(nil, nil), theirKeys, 503, "temporarily_unavailable"},
		{"only a key of an earlier algorithm", nil, keysOf([]jose.PublicKey{old}, nil), theirKeys, 503, "temporarily_unavailable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			op := newOP()
			if tt.op != nil {
				tt.op(op)
			}
			config := tt.config
			if config == nil {
				config = merging("ES256")
			}
			logs, seen := observer.New(zap.ErrorLevel)
			f := newFront(t, func(c *Config) { config(c); c.Log = zap.New(logs) })
			w := serve(t, f, get(tt.path), op)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("answer = %d %.300s, want %d %s", w.Code, w.Body, tt.status, tt.says)
			}
			if tt.status == 503 && (strings.Contains(w.Body.String(), `"keys"`) || strings.Contains(w.Body.String(), "token_endpoint\"")) {
				t.Errorf("something partial was published: %s", w.Body)
			}
			if ours := strings.Contains(w.Body.String(), "temporarily_unavailable"); ours != (seen.Len() > 0) {
				t.Errorf("log = %v", seen.All())
			}
		})
	}
}

var old = jose.PublicKey{KID: "old", Alg: "RS256", Key: josetest.NewKey("RS256", "old").Private.Public()}

func keysOf(keys []jose.PublicKey, err error) func(*Config) {
	return func(c *Config) {
		merging("ES256")(c)
		c.Merge.Keys = func(context.Context) ([]jose.PublicKey, error) { return keys, err }
	}
}

// TestA28_NoTokenThatNobodyCanVerify: as long as our key is not published, no
// claims token is made with it.
func TestA28_NoTokenThatNobodyCanVerify(t *testing.T) {
	w := serve(t, newFront(t, merging("RS256")), post(theirToken, formType, goodForm), newOP())
	if w.Code != 503 || !strings.Contains(w.Body.String(), "algorithm") {
		t.Errorf("answer = %d %s", w.Code, w.Body)
	}
	if w := serve(t, newFront(t, merging("ES256")), post(theirToken, formType, goodForm), newOP()); w.Body.String() != exchanged {
		t.Errorf("answer = %d %s", w.Code, w.Body)
	}
}

// TestA28_NobodyTeaches: a document that somebody has asked for with fields of his
// own does not change where the provider's token endpoint is.
func TestA28_NobodyTeaches(t *testing.T) {
	op := newOP()
	f := newFront(t, merging("ES256"))
	know(t, f, op)
	r := get(openID)
	r.Host = "evil.example"
	serve(t, f, r, next(func(w http.ResponseWriter, r *http.Request) error {
		if r.Host != "sso.bob.example" {
			t.Errorf("the provider was asked as %s", r.Host)
		}
		document(w, strings.Replace(op.metadata, theirIssuer+"/token", "https://evil.example/token", 1))
		return nil
	}))
	if w := serve(t, f, post(theirToken, formType, goodForm), op); w.Body.String() != exchanged {
		t.Errorf("answer = %d %s", w.Code, w.Body)
	}
}

// TestOneLine: a provider that cannot be merged does not fill the log.
func TestOneLine(t *testing.T) {
	logs, seen := observer.New(zap.ErrorLevel)
	c := newClock()
	f := newFront(t, func(cfg *Config) { merging("RS256")(cfg); cfg.Log, cfg.Now = zap.New(logs), c.now })
	for i, want := range []int{1, 1, 2} {
		if i == 2 {
			c.add(logPause)
		}
		serve(t, f, get(openID), newOP())
		if seen.Len() != want {
			t.Errorf("%d lines after %d requests, want %d", seen.Len(), i+1, want)
		}
	}
}

// TestDocumentsOfOthers: nothing is touched without Merge, or by another method,
// status or media type.
func TestDocumentsOfOthers(t *testing.T) {
	op := newOP()
	for _, path := range []string{openID, theirKeys} {
		if w := serve(t, newFront(t, nil), get(path), op); w.Body.String() != map[string]string{openID: op.metadata, theirKeys: op.keys}[path] {
			t.Errorf("without Merge: %s", w.Body)
		}
		for name, change := range map[string]func(http.ResponseWriter, *http.Request){
			"text":     func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/plain") },
			"created":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) },
			"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) },
		} {
			f := newFront(t, merging("ES256"))
			know(t, f, op)
			w := serve(t, f, get(path), next(func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Content-Type", "application/json")
				change(w, r)
				_, err := w.Write([]byte(`{"keys":[]}`))
				return err
			}))
			if !strings.HasSuffix(w.Body.String(), `{"keys":[]}`) {
				t.Errorf("%s of %s: %d %s", name, path, w.Code, w.Body)
			}
		}
		f := newFront(t, merging("ES256"))
		know(t, f, op)
		r := get(path)
		r.Method = http.MethodOptions
		passed := false
		serve(t, f, r, next(func(_ http.ResponseWriter, r *http.Request) error {
			passed = r.Method == http.MethodOptions
			return nil
		}))
		if !passed {
			t.Errorf("OPTIONS %s was not passed on", path)
		}
	}
}

// TestFirstRequestForKeys after a start: it waits until it is known that it is
// one.
func TestFirstRequestForKeys(t *testing.T) {
	if w := serve(t, newFront(t, merging("ES256")), get(theirKeys), newOP()); !strings.Contains(w.Body.String(), `"ours"`) {
		t.Errorf("keys = %s", w.Body)
	}
}

func TestNew(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"issuer":    func(c *Config) { c.Provider = "http://x.example" },
		"exchange":  func(c *Config) { c.Exchange = nil },
		"clock":     func(c *Config) { c.Now = nil },
		"keys":      func(c *Config) { merging("ES256")(c); c.Merge.Keys = nil },
		"algorithm": func(c *Config) { merging("ES256")(c); c.Merge.Algorithm = "" },
		"metadata":  func(c *Config) { merging("ES256")(c); c.Merge.Metadata = nil },
	} {
		cfg := Config{Provider: theirIssuer, Exchange: exchange(t), Now: newClock().now}
		if _, err := New(cfg); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("New without %s gives no error", name)
		}
	}
}
