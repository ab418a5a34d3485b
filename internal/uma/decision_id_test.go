package uma_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// The newest decision comes first in the order of the store; the id keeps its form.
func TestDecisionID(t *testing.T) {
	var keys []string // the newest first
	for _, at := range []time.Time{
		time.Date(2099, 12, 31, 0, 0, 0, 0, time.UTC), time.Unix(1<<31, 0), time.Unix(1_800_000_001, 0), time.Unix(1_800_000_000, 0), time.Unix(0, 0),
	} {
		id := uma.NewDecisionID(at)
		key, ok := uma.DecidedKey(id)
		back, second, known := uma.DecisionOf(key)
		if !ok || !known || back != id || second != at.Unix() || len(id) != 22 || id[0] == '-' {
			t.Errorf("%v: %q, key %q, back %q of %d", at, id, key, back, second)
		}
		keys = append(keys, key)
	}
	if !slices.IsSorted(keys) {
		t.Errorf("%q", keys)
	}
	now := time.Unix(1_800_000_000, 0)
	if one, two := uma.NewDecisionID(now), uma.NewDecisionID(now); one == two {
		t.Error("two are the same")
	}
	for _, text := range []string{"", "x", strings.Repeat("A", 21), strings.Repeat("A", 24), strings.Repeat("A", 21) + "B", strings.Repeat("A", 21) + "\n"} {
		if key, ok := uma.DecidedKey(text); ok {
			t.Errorf("%q: %q", text, key)
		}
	}
	for _, key := range []string{"", "0", strings.Repeat("0", 30), strings.Repeat("0", 34), strings.Repeat("g", 32)} {
		if id, _, ok := uma.DecisionOf(key); ok {
			t.Errorf("%q: %q", key, id)
		}
	}
}
