package umaapp_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/caddypki"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// config is a whole configuration without an admin endpoint, with its storage
// in dir.
func config(t *testing.T, dir, apps string) *caddy.Config {
	t.Helper()
	text := `{"admin":{"disabled":true,"config":{"persist":false}},"storage":{"module":"file_system","root":"` + dir + `"},"apps":` + apps + `}`
	cfg := new(caddy.Config)
	if err := json.Unmarshal([]byte(text), cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// provision does what `caddy validate` does, and keeps the result.
func provision(t *testing.T, dir, apps string) (*umaapp.App, error) {
	t.Helper()
	ctx, err := caddy.ProvisionContext(config(t, dir, apps))
	if err != nil {
		return nil, err
	}
	return umaapp.Get(ctx)
}

func TestDefaults(t *testing.T) {
	a, err := provision(t, t.TempDir(), `{}`)
	if err != nil {
		t.Fatal(err)
	}
	n, age, pause := a.Cache()
	if n != 10000 || age != 15*time.Minute || pause != time.Minute {
		t.Errorf("Cache = %d, %v, %v", n, age, pause)
	}
	if out := a.Outbound(); out.Roots != nil || len(out.ConnectTo) != 0 {
		t.Errorf("Outbound = %+v, want the system's CAs and no exceptions", out)
	}
	if err := errors.Join(a.Start(), a.Stop(), a.Stop()); err != nil {
		t.Error(err)
	}
}

func TestOutboundIsACopy(t *testing.T) {
	a, err := provision(t, t.TempDir(), `{"uma":{"connect_to":{"a.example:443":"127.0.0.1:1"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	a.Outbound().ConnectTo["b.example:443"] = "127.0.0.1:2"
	if diff := cmp.Diff(map[string]string{"a.example:443": "127.0.0.1:1"}, a.Outbound().ConnectTo); diff != "" {
		t.Error(diff)
	}
}

func TestInternalCA(t *testing.T) {
	const pki = `"pki":{"certificate_authorities":{"local":{"install_trust":false}}}`
	a, err := provision(t, t.TempDir(), `{`+pki+`,"uma":{"trust_internal_ca":"local"}}`)
	if err != nil {
		t.Fatal(err)
	}
	if a.Outbound().Roots == nil {
		t.Error("Roots = nil, want the system's CAs and Caddy's own")
	}
	_, err = provision(t, t.TempDir(), `{`+pki+`,"uma":{"trust_internal_ca":"corp"}}`)
	if err == nil || !strings.Contains(err.Error(), "no certificate authority configured with id: corp") {
		t.Errorf("an unknown CA: %v", err)
	}
}

func TestProvisionRefuses(t *testing.T) {
	for apps, want := range map[string]string{
		`{"uma":{"algorithm":"HS256"}}`:                                      "uma: algorithm 'HS256' is not one of",
		`{"uma":{"keys":"store"}}`:                                           "uma: keys store needs the secret",
		`{"uma":{"keys":"vault"}}`:                                           "uma: keys 'vault' is unknown",
		`{"uma":{"keys":"storage","key_encryption_keys":["x"]}}`:             "uma: keys storage takes no secret",
		`{"uma":{"key_encryption_keys":["x"]}}`:                              "uma: keys storage takes no secret",
		`{"uma":{"keys":"store","key_encryption_keys":["short"]}}`:           "uma: keys store is shorter than 32 characters",
		`{"uma":{"keys":"store","key_encryption_keys":["{env.UMA_UNSET}"]}}`: "uma: keys store is empty: environment variable UMA_UNSET is not set",
		`{"uma":{"keys":"store","key_encryption_keys":["12345678901234567890123456789012","12345678901234567890123456789012"]}}`: "uma: keys store: one key encryption key is given twice",
		`{"uma":{"audit_subject":"x"}}`:                                      "uma: audit_subject 'x'",
		`{"uma":{"refetch_pause":-1}}`:                                       "cannot be negative",
		`{"uma":{"connect_to":{"a.example":"127.0.0.1:1"}}}`:                 "must be host:port",
		`{"uma":{"store":{"module":"nope"}}}`:                                "unknown module: uma.stores.nope",
		`{"uma":{"trust_internal_ca":"x","trust_pool":{"provider":"file"}}}`: "uma: choose one of",
		`{"uma":{"resorce":1}}`:                                              "unknown field",
	} {
		if _, err := provision(t, t.TempDir(), apps); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", apps, err, want)
		}
	}
}

func TestValidateTouchesNothing(t *testing.T) {
	dir := t.TempDir()
	apps := `{"uma":{"store":{"module":"bolt","path":"` + dir + `/db/uma.db"}}}`
	if err := caddy.Validate(config(t, dir, apps)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("validate left %v, %v", entries, err)
	}
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "uma.db")
	load := func(extra string) {
		t.Helper()
		cfg := config(t, dir, `{"uma":{`+extra+`"store":{"module":"bolt","path":"`+path+`"}}}`)
		raw, err := json.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := caddy.Load(raw, true); err != nil {
			t.Fatal(err)
		}
	}
	app := func() *umaapp.App {
		t.Helper()
		a, err := umaapp.Get(caddy.ActiveContext())
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	load("")
	defer func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	}()
	old := app()
	key := store.Key{Tenant: "t", Kind: "k", ID: "i"}
	if err := old.Store().Commit(t.Context(), store.Create(store.Doc{Key: key, Body: []byte(`{"v":1}`)})); err != nil {
		t.Fatal(err)
	}
	for _, extra := range []string{`"audit_subject":"off",`, "", `"audit_subject":"hash",`} {
		load(extra)
		if _, err := app().Store().Get(t.Context(), key); err != nil {
			t.Errorf("after a reload: %v", err)
		}
	}
	// Caddy's old servers finish their requests after the old configuration ended.
	if _, err := old.Store().Get(t.Context(), key); err != nil {
		t.Errorf("a request that outlives its configuration: %v", err)
	}
}
