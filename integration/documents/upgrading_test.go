package documents_test

import (
	"strings"
	"testing"
)

// TestUpgrading: the messages and forms that the notes promise are those of the code.
func TestUpgrading(t *testing.T) {
	text := strings.Join(strings.Fields(read(t, "docs/upgrading.md")), " ")
	for _, m := range []struct{ file, code, said string }{
		{"internal/uma/record.go", "record has version %d, this program knows %d: it was written by a newer caddy-uma", "record has version 2, this program knows 1: it was written by a newer caddy-uma"},
		{"internal/store/open.go", "the file has format %d and this program knows formats up to %d", "the file has format 2 and this program knows formats up to 1"},
		{"internal/store/postgres/migrate.go", "schema %q has version %d and this program knows versions up to %d", `schema "uma" has version 2 and this program knows versions up to 1`},
		{"internal/jose/keyfile.go", "version %d of the key file is unknown to this program", "version 2 of the key file is unknown to this program"},
		{"internal/store/postgres/doc.go", "UPDATE uma.meta SET id = uma.new_store_id();", "UPDATE uma.meta SET id = uma.new_store_id();"},
		{"internal/uma/record.go", "currentVersion = 1", `"v":1`},
		{"internal/seal/seal.go", "version1   = 1", "first byte 1"},
	} {
		if !strings.Contains(read(t, m.file), m.code) {
			t.Errorf("%s no longer has %q: the notes on upgrading speak of it", m.file, m.code)
		}
		if !strings.Contains(text, m.said) {
			t.Errorf("docs/upgrading.md does not say %q", m.said)
		}
	}
	// The current formats, by which somebody knows whether he can go back.
	if steps := strings.Count(read(t, "internal/store/open.go"), "func upgrades() []upgrade { return nil }"); steps != 1 {
		t.Error("the file of store bolt has another format: say so in CHANGELOG.md and docs/upgrading.md")
	}
	if want := "Formats: records and keys `\"v\":1`, `store bolt` 1, `store postgres` 1, sealed boxes 1."; !strings.Contains(read(t, "CHANGELOG.md"), want) {
		t.Errorf("CHANGELOG.md does not say: %s", want)
	}
}
