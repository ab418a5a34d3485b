package jose_test

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// file reads the only key file.
func file(t *testing.T, storage *josetest.Storage) (name string, content members) {
	t.Helper()
	names := storage.Names()
	if len(names) != 1 {
		t.Fatalf("files %q, want one", names)
	}
	data, err := storage.Load(t.Context(), names[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &content); err != nil {
		t.Fatal(err)
	}
	return names[0], content
}

func store(t *testing.T, storage *josetest.Storage, name string, content any) {
	t.Helper()
	data, ok := content.([]byte)
	if !ok {
		var err error
		if data, err = json.Marshal(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := storage.Store(t.Context(), name, data); err != nil {
		t.Fatal(err)
	}
}

// thumbprint is RFC 7638 by hand.
func thumbprint(jwk members) string {
	names := map[any][]string{
		"EC": {"crv", "kty", "x", "y"}, "OKP": {"crv", "kty", "x"}, "RSA": {"e", "kty", "n"}, "oct": {"k", "kty"},
	}[jwk["kty"]]
	var pairs []string
	for _, name := range names { // in order
		pairs = append(pairs, fmt.Sprintf("%q:%q", name, jwk[name]))
	}
	sum := sha256.Sum256([]byte("{" + strings.Join(pairs, ",") + "}"))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestSEC_11_KeyFileForm(t *testing.T) {
	start := newHand().Now().UTC()
	for name, tc := range map[string]struct {
		purpose, alg, wantAlg string
		jwk                   []string
		rotation              time.Duration
	}{
		"ES256":   {"rpt", "", "ES256", []string{"crv", "d", "kty", "x", "y"}, rotation},
		"EdDSA":   {"claims", "EdDSA", "EdDSA", []string{"crv", "d", "kty", "x"}, rotation},
		"RS256":   {"id-token", "RS256", "RS256", []string{"d", "dp", "dq", "e", "kty", "n", "p", "q", "qi"}, rotation},
		"secret":  {"ticket", "", "secret", []string{"k", "kty"}, rotation},
		"subject": {"subject", "", "secret", []string{"k", "kty"}, rotation},
		"forever": {"rpt", "", "ES256", []string{"crv", "d", "kty", "x", "y"}, 0},
	} {
		t.Run("SEC-11 "+name, func(t *testing.T) {
			storage := josetest.NewStorage()
			cfg := ringConfig(storage, newHand().Now)
			cfg.Purpose, cfg.Alg, cfg.Rotation = tc.purpose, tc.alg, tc.rotation
			r := newRing(t, cfg)
			if tc.wantAlg == "secret" {
				current(t, r)
			} else {
				sign(t, r)
			}
			where, content := file(t, storage)
			jwk, _ := content["jwk"].(members)
			if got := slices.Sorted(maps.Keys(jwk)); !slices.Equal(got, tc.jwk) {
				t.Errorf("jwk has %q, want %q", got, tc.jwk)
			}
			kid := thumbprint(jwk)
			sum := sha256.Sum256([]byte(cfg.Issuer))
			folder := "uma/as/" + base32.StdEncoding.EncodeToString(sum[:])[:16] + "/" + tc.purpose
			if where != folder+"/"+kid+".json" {
				t.Errorf("file %s, want %s/%s.json", where, folder, kid)
			}
			want := members{
				"v": 1.0, "kid": kid, "alg": tc.wantAlg, "jwk": jwk,
				"created": start.Format(time.RFC3339), "not_before": start.Format(time.RFC3339),
			}
			if tc.rotation > 0 && tc.purpose != "subject" {
				want["retire_after"] = start.Add(rotation + 2*overlap + retain).Format(time.RFC3339)
			}
			if diff := cmp.Diff(want, content); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A file that is not ours is skipped and logged once; it stops nothing.
func TestKeyFilesSkipped(t *testing.T) {
	clock := newHand()
	foreign := josetest.NewStorage()
	sign(t, newRing(t, ringConfig(foreign, clock.Now)))
	name, good := file(t, foreign)
	folder, kid := path.Dir(name), good["kid"].(string)
	with := func(more members) members {
		all := maps.Clone(good)
		maps.Copy(all, more)
		return all
	}
	secrets := josetest.NewStorage()
	current(t, newRing(t, secretConfig("ticket", secrets, clock.Now)))
	secretName, secret := file(t, secrets)
	weak := josetest.NewKey("ES512", "w").JWK(members{"d": "AAAA"})
	for what, tc := range map[string]struct {
		name    string
		content any
	}{
		"empty":               {name, []byte{}},
		"no JSON":             {name, []byte("{")},
		"null":                {name, []byte("null")},
		"newer version":       {name, with(members{"v": 2})},
		"no version":          {name, with(members{"v": 0})},
		"another kid":         {name, with(members{"kid": thumbprint(weak)})},
		"another name":        {folder + "/" + thumbprint(weak) + ".json", good},
		"name of no kid":      {folder + "/key.json", good},
		"another ending":      {folder + "/" + kid + ".bak", good},
		"another algorithm":   {name, with(members{"alg": "RS256"})},
		"HS256":               {name, with(members{"alg": "HS256"})},
		"no algorithm":        {name, with(members{"alg": ""})},
		"a public key":        {name, with(members{"jwk": josetest.NewKey("ES256", "x").JWK(nil)})},
		"no key":              {name, with(members{"jwk": nil})},
		"a weak key":          {name, with(members{"jwk": weak, "alg": "ES512", "kid": thumbprint(weak)})},
		"a secret":            {folder + "/" + path.Base(secretName), secret},
		"a secret that signs": {name, with(members{"jwk": secret["jwk"]})},
		"dates are no dates":  {name, with(members{"created": "yesterday"})},
	} {
		t.Run(what, func(t *testing.T) {
			storage := josetest.NewStorage()
			store(t, storage, tc.name, tc.content)
			core, logs := observer.New(zapcore.DebugLevel)
			cfg := ringConfig(storage, clock.Now)
			cfg.Log = zap.New(core)
			r := newRing(t, cfg)
			compact, used := sign(t, r)
			if used == kid {
				t.Error("it is used")
			}
			if err := verify(t, compact, r); err != nil {
				t.Error(err)
			}
			wantKey(t, r, kid, jose.ErrNoKey)
			if logs.Len() != 1 {
				t.Errorf("%d log lines, want 1: %v", logs.Len(), logs.All())
			}
			for _, line := range logs.All() {
				if d := good["jwk"].(members)["d"].(string); strings.Contains(fmt.Sprint(line), d) {
					t.Error("the log has the private key")
				}
			}
		})
	}
	t.Run("the good one is not", func(t *testing.T) {
		storage := josetest.NewStorage()
		store(t, storage, name, with(members{"unknown": 1}))
		if _, used := sign(t, newRing(t, ringConfig(storage, clock.Now))); used != kid {
			t.Error("it is not used")
		}
	})
	t.Run("a secret of another length", func(t *testing.T) {
		short := maps.Clone(secret)
		jwk := members{"kty": "oct", "k": "AAAA"}
		short["jwk"], short["kid"] = jwk, thumbprint(jwk)
		storage := josetest.NewStorage()
		store(t, storage, path.Dir(secretName)+"/"+thumbprint(jwk)+".json", short)
		if _, key := current(t, newRing(t, secretConfig("ticket", storage, clock.Now))); key == [32]byte{} {
			t.Error("a key of zeros")
		}
	})
}

// An administrator withdraws a key: by deleting its file or by its date.
func TestSEC_10_OwnKeyWithdrawn(t *testing.T) {
	for name, withdraw := range map[string]func(*testing.T, *josetest.Storage, time.Time){
		"deleted": func(t *testing.T, s *josetest.Storage, _ time.Time) {
			t.Helper()
			s.Delete(s.Names()[0])
		},
		"retired": func(t *testing.T, s *josetest.Storage, now time.Time) {
			t.Helper()
			where, content := file(t, s)
			content["retire_after"] = now
			store(t, s, where, content)
		},
	} {
		t.Run("SEC-10 "+name, func(t *testing.T) {
			clock, storage := newHand(), josetest.NewStorage()
			r := newRing(t, ringConfig(storage, clock.Now))
			compact, first := sign(t, r)
			withdraw(t, storage, clock.Now())
			clock.pass(time.Minute)
			if err := verify(t, compact, r); err == nil {
				t.Error("the withdrawn key verifies")
			}
			if _, kid := sign(t, r); kid == first {
				t.Error("the withdrawn key signs")
			}
		})
	}
}

func TestSEC_11_NothingPrivateInJWKS(t *testing.T) {
	for _, alg := range []string{"ES256", "EdDSA", "PS256", "RS256"} {
		t.Run("SEC-11 "+alg, func(t *testing.T) {
			cfg := ringConfig(josetest.NewStorage(), newHand().Now)
			cfg.Alg = alg
			r := newRing(t, cfg)
			compact, kid := sign(t, r)
			keys, err := r.Public(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			document, err := jose.MarshalJWKS(keys...)
			if err != nil {
				t.Fatal(err)
			}
			var set struct{ Keys []members }
			if err := json.Unmarshal(document, &set); err != nil || len(set.Keys) != 1 {
				t.Fatalf("%s: %v", document, err)
			}
			jwk := set.Keys[0]
			if jwk["kid"] != kid || jwk["alg"] != alg || jwk["use"] != "sig" || kid != thumbprint(jwk) {
				t.Errorf("published %v", jwk)
			}
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
				if _, there := jwk[private]; there {
					t.Errorf("published with %s", private)
				}
			}
			if err := verify(t, compact, keysOf(document)); err != nil { // others can use it
				t.Error(err)
			}
		})
	}
	for name, key := range map[string]any{
		"private key": ecKey.Private, "secret": []byte("secret"), "nothing": nil,
		"weak key": josetest.NewRSA("RS256", "w", 1024).Private.Public(),
	} {
		t.Run("SEC-11 "+name, func(t *testing.T) {
			if document, err := jose.MarshalJWKS(jose.PublicKey{KID: "k", Alg: "ES256", Key: key}); err == nil {
				t.Errorf("published %s", document)
			}
		})
	}
	t.Run("SEC-11 no keys", func(t *testing.T) {
		if document, err := jose.MarshalJWKS(); err != nil || string(document) != `{"keys":[]}` {
			t.Errorf("%s, %v", document, err)
		}
	})
}
