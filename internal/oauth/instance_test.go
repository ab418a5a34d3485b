package oauth_test

import (
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func TestInstanceID(t *testing.T) {
	pattern := strings.Repeat("A", 22)
	list := func(texts ...string) []oauth.Capture {
		var all []oauth.Capture
		for i := 0; i < len(texts); i += 2 {
			all = append(all, oauth.Capture{Name: texts[i], Value: texts[i+1]})
		}
		return all
	}
	// The id is on the wire between two programs: it must not change.
	const frozen = "QzIO6J45MJgkz0ExV0uOg1sHvbrxO_UX8GOT69oyS3Y"
	alice := list("id", "7", "user", "alice")
	if got := oauth.InstanceID(pattern, "alice", alice); got != frozen {
		t.Errorf("InstanceID = %s, want %s", got, frozen)
	}
	if got := oauth.InstanceID(pattern, "alice", list("user", "alice", "id", "7")); got != frozen {
		t.Errorf("in another order = %s, want %s", got, frozen)
	}
	if len(frozen) != 43 {
		t.Errorf("%d characters: it could be the id of a registration", len(frozen))
	}
	seen := map[string]string{frozen: "the first"}
	for name, id := range map[string]string{
		"another pattern":               oauth.InstanceID(strings.Repeat("B", 22), "alice", alice),
		"another owner":                 oauth.InstanceID(pattern, "carol", alice),
		"no owner":                      oauth.InstanceID(pattern, "", alice),
		"another value":                 oauth.InstanceID(pattern, "alice", list("id", "8", "user", "alice")),
		"another case":                  oauth.InstanceID(pattern, "alice", list("id", "7", "user", "Alice")),
		"another name":                  oauth.InstanceID(pattern, "alice", list("id", "7", "usr", "alice")),
		"values exchanged":              oauth.InstanceID(pattern, "alice", list("id", "alice", "user", "7")),
		"one less":                      oauth.InstanceID(pattern, "alice", list("id", "7")),
		"none":                          oauth.InstanceID(pattern, "alice", nil),
		"a boundary moved":              oauth.InstanceID(pattern, "alice", list("id", "7u", "ser", "alice")),
		"owner and name joined":         oauth.InstanceID(pattern, "aliceid", list("", "7", "user", "alice")),
		"pattern and owner":             oauth.InstanceID(pattern+"alice", "", alice),
		"a value like another encoding": oauth.InstanceID(pattern, "alice", list("id", "7\x00\x00\x00\x04user\x00\x00\x00\x05alice")),
	} {
		if other := seen[id]; other != "" {
			t.Errorf("%s and %s have the same id", name, other)
		}
		seen[id] = name
	}
}

func TestCaptures(t *testing.T) {
	for name, want := range map[string]bool{
		"user": true, "_u1": true, "U": true, strings.Repeat("a", 64): true,
		"": false, "1": false, "a-b": false, "a.b": false, "ü": false, "a b": false, strings.Repeat("a", 65): false,
	} {
		if got := oauth.IsCaptureName(name); got != want {
			t.Errorf("IsCaptureName(%q) = %v", name, got)
		}
	}
	for value, want := range map[string]bool{
		"alice": true, "a/b": true, "ü": true, "{x}": true, " ": true, strings.Repeat("a", 256): true,
		"": false, "a\x00": false, "a\nb": false, "a\u0085b": false, "\xff": false, strings.Repeat("a", 257): false,
	} {
		if got := oauth.IsCaptureValue(value); got != want {
			t.Errorf("IsCaptureValue(%q) = %v", value, got)
		}
	}
}

// FuzzInstanceID: what differs has another id.
func FuzzInstanceID(f *testing.F) {
	f.Add("p", "o", "n", "v", "p", "on", "", "v")
	f.Fuzz(func(t *testing.T, p1, o1, n1, v1, p2, o2, n2, v2 string) {
		one := oauth.InstanceID(p1, o1, []oauth.Capture{{Name: n1, Value: v1}})
		two := oauth.InstanceID(p2, o2, []oauth.Capture{{Name: n2, Value: v2}})
		same := p1 == p2 && o1 == o2 && n1 == n2 && v1 == v2
		if (one == two) != same {
			t.Errorf("%q %q %q %q and %q %q %q %q: %s %s", p1, o1, n1, v1, p2, o2, n2, v2, one, two)
		}
	})
}
