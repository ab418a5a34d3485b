package jose_test

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func TestAudience(t *testing.T) {
	for text, want := range map[string]jose.Audience{
		`"a"`:       {"a"},
		`""`:        {""},
		`["a"]`:     {"a"},
		`["a","b"]`: {"a", "b"},
		`[]`:        {},
	} {
		var claims struct{ Aud jose.Audience }
		if err := oauth.DecodeObject([]byte(`{"Aud":`+text+`}`), &claims); err != nil || !slices.Equal(claims.Aud, want) {
			t.Errorf("%s: %q, %v, want %q", text, claims.Aud, err, want)
		}
	}
	for _, text := range []string{`1`, `true`, `{}`, `{"a":"b"}`, `[1]`, `["a",null]`, `["a",["b"]]`, `[null]`} {
		var claims struct{ Aud jose.Audience }
		if err := oauth.DecodeObject([]byte(`{"Aud":`+text+`}`), &claims); err == nil {
			t.Errorf("%s is accepted as %q", text, claims.Aud)
		}
	}
	var a jose.Audience
	if err := a.UnmarshalJSON([]byte("null")); err == nil {
		t.Error("null is accepted")
	}
}

func TestNumericDate(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "1800000000": 1800000000, "1800000000.9": 1800000000, "0.5": 0, "253402300799": 253402300799,
	} {
		var claims struct{ Exp jose.NumericDate }
		err := oauth.DecodeObject([]byte(`{"Exp":`+text+`}`), &claims)
		if err != nil || int64(claims.Exp) != want || !claims.Exp.Time().Equal(time.Unix(want, 0)) {
			t.Errorf("%s: %d, %v, want %d", text, claims.Exp, err, want)
		}
	}
	for _, text := range []string{
		`"1"`, `-1`, `-0.5`, `1e3`, `1E400`, `true`, `{}`, `[1]`, `253402300800`, `9999999999999999999999`, `NaN`, `Infinity`, `0x10`, `1_000`,
	} {
		var claims struct{ Exp jose.NumericDate }
		if err := oauth.DecodeObject([]byte(`{"Exp":`+text+`}`), &claims); err == nil {
			t.Errorf("%s is accepted as %d", text, claims.Exp)
		}
		if err := new(jose.NumericDate).UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%s is accepted by itself", text)
		}
	}
	var d jose.NumericDate
	if err := d.UnmarshalJSON([]byte("null")); err == nil {
		t.Error("null is accepted")
	}
}
