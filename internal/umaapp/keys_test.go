package umaapp_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRing(t *testing.T) {
	dir := t.TempDir()
	a, err := provision(t, dir, `{"uma":{"algorithm":"EdDSA"}}`)
	if err != nil {
		t.Fatal(err)
	}
	const issuer = "https://as.alice.example"
	first, err := a.Ring("as", issuer, "rpt", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := a.Ring("as", issuer, "rpt", time.Hour); err != nil || again != first {
		t.Errorf("a second call = %p, %v, want the same ring", again, err)
	}
	if _, err := a.Ring("as", issuer, "rpt", time.Minute); err == nil {
		t.Error("another retention time = nil, want an error")
	}
	if _, err := a.Ring("as", issuer, "lunch", time.Hour); err == nil {
		t.Error("an unknown purpose = nil, want an error")
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "uma")); err == nil {
		t.Errorf("keys before their first use: %v", entries)
	}
	keys, err := first.Public(t.Context())
	if err != nil || len(keys) != 1 || keys[0].Alg != "EdDSA" {
		t.Errorf("Public = %v, %v, want one EdDSA key", keys, err)
	}
}

func TestSEC_28_RingsShareNoKey(t *testing.T) {
	a, err := provision(t, t.TempDir(), `{}`)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, role := range []string{"as", "sts"} {
		for _, issuer := range []string{"https://a.example", "https://b.example"} {
			for _, purpose := range []string{"rpt", "claims", "id-token"} {
				ring, err := a.Ring(role, issuer, purpose, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				keys, err := ring.Public(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				name := strings.Join([]string{role, issuer, purpose}, " ")
				for _, k := range keys {
					if other := seen[k.KID]; other != "" {
						t.Errorf("%s and %s share a key", name, other)
					}
					seen[k.KID] = name
				}
			}
		}
	}
}

func TestRotationOff(t *testing.T) {
	for _, rotation := range []string{"-1", "0", `"1h"`} {
		a, err := provision(t, t.TempDir(), `{"uma":{"key_rotation":`+rotation+`}}`)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Ring("sts", "https://b.example", "claims", time.Hour); err != nil {
			t.Errorf("key_rotation %s: %v", rotation, err)
		}
	}
}
