package umaapp

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// Where a node stands must not be seen in the times of the admin API.
func TestAdminTimesAreUTC(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("there", 2*60*60))
	node := nodeRecord{Started: at, Beat: at, Issuers: []nodeIssuer{{Role: "as", Issuer: "https://as.example", Loaded: at}}}
	for name, value := range map[string]any{
		"nodes": node.seenBy(node),
		"keys":  managedRing{}.row(jose.KeyInfo{Created: at, NotBefore: at, RetireAfter: at}),
	} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), "2026-01-02T01:04:05Z") != 3 || strings.Contains(string(text), "+02:00") {
			t.Errorf("%s: %s", name, text)
		}
	}
	if text, err := json.Marshal(managedRing{}.row(jose.KeyInfo{Created: at})); err != nil || strings.Contains(string(text), "retire_after") {
		t.Errorf("%s, %v", text, err)
	}
}
