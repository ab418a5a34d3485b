package oauth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// sameAsDecode compares Members with DecodeObject, which decodes with go-jose's
// JSON: one verdict, the same members.
func sameAsDecode(t *testing.T, data []byte) (ok bool) {
	t.Helper()
	var want map[string]any
	theirs := oauth.DecodeObject(data, &want)
	got := map[string]any{}
	ours := oauth.Members(data, func(name, value []byte) {
		var v any
		if err := json.Unmarshal(value, &v); err != nil && theirs == nil {
			t.Errorf("%q: the value of %q is no JSON: %v", data, name, err)
		}
		got[string(name)] = v
	})
	if !utf8.Valid(data) {
		if ours == nil {
			t.Errorf("%q: what is not UTF-8 is accepted", data)
		}
		return false
	}
	if (ours == nil) != (theirs == nil) {
		t.Fatalf("%q: Members: %v, DecodeObject: %v", data, ours, theirs)
	}
	if theirs == nil && !reflect.DeepEqual(got, want) {
		t.Errorf("%q: Members: %v, DecodeObject: %v", data, got, want)
	}
	return ours == nil
}

// strictTexts are JSON texts, and whether they are accepted.
func strictTexts() map[string]bool {
	nested := func(n int) string { return `{"x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}` }
	all := map[string]bool{
		`{}`: true, ` { } `: true, "\t\r\n{\"a\" : 1 , \"b\":[ 1 , {} ] }\n": true,
		`{"a":null,"b":true,"c":false,"d":[],"e":{}}`:                    true,
		`{"a":0,"b":-0,"c":0.5,"d":1e5,"e":1E+5,"f":-1.5e-5,"g":1e-999}`: true,
		`{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"}`:                     true,
		`{"":1}`: true, `{"a":{"a":{"a":1}}}`: true, "{\"\u00e9\":1}": true, "{\"a\x7f\":1}": true,
		`{"\ud800":1}`: true, `{"a":"\ud800"}`: true, `{"\ud800":1,"x":2}`: true,

		``: false, ` `: false, `{`: false, `}`: false, `[]`: false, `null`: false, `"a"`: false, `1`: false,
		`{a:1}`: false, `{'a':1}`: false, `{"a"}`: false, `{"a":}`: false, `{"a":1,}`: false, `{,"a":1}`: false,
		`{"a":1 "b":2}`: false, `{"a":1}}`: false, `{"a":1}{}`: false, `{"a":1}x`: false, "{}\x00": false,
		"{\"a\":1}\v": false, "\ufeff{}": false, `{"a":1/**/}`: false, `{1:1}`: false, `{null:1}`: false,
		`{"a":[1,]}`: false, `{"a":[,1]}`: false, `{"a":[1 2]}`: false, `{"a":[1}`: false, `{"a":{]}`: false,
		`{"a":01}`: false, `{"a":+1}`: false, `{"a":.5}`: false, `{"a":1.}`: false, `{"a":1e}`: false, `{"a":1e+}`: false,
		`{"a":-}`: false, `{"a":--1}`: false, `{"a":0x1}`: false, `{"a":NaN}`: false, `{"a":Infinity}`: false,
		`{"a":1e400}`: false, `{"a":-1e400}`: false, `{"a":[{"b":1e309}]}`: false,
		`{"a":tru}`: false, `{"a":truex}`: false, `{"a":nul}`: false, `{"a":True}`: false,
		"{\"a\":\"\n\"}": false, "{\"a\x00\":1}": false, `{"a":"\x"}`: false, `{"a":"\u12"}`: false, `{"a":"\u12g4"}`: false,
		`{"a":"\"}`: false, `{"a":"`: false, `{"a":"\`: false, `{"\u":1}`: false,

		`{"a":1,"a":1}`: false, `{"a":1,"\u0061":1}`: false, `{"\u0061":1,"a":1}`: false, `{"":1,"":2}`: false,
		`{"x":{"a":1,"a":1}}`: false, `{"x":[[{"a":1,"b":2,"a":1}]]}`: false, `{"\/":1,"/":2}`: false,
		`{"\ud800":1,"\ud801":1}`: false, `{"\ud800":1,"\ufffd":1}`: false, "{\"\ufffd\":1,\"\\udfff\":1}": false,
		nested(32): true, nested(33): false, strings.Repeat(`{"x":`, 100000): false,
		`{"a":` + strings.Repeat("9", 308) + `}`: true, `{"a":` + strings.Repeat("9", 309) + `}`: false,
		`{"a":0.` + strings.Repeat("9", 400) + `}`: true,
	}
	objects := func(n int) string { return strings.Repeat(`{"x":`, n) + "1" + strings.Repeat("}", n) }
	all[objects(32)], all[objects(33)] = true, false
	for c := range byte(0x20) {
		all[`{"a":"`+string(rune(c))+`"}`] = false
	}
	for _, n := range []int{15, 16, 17, 40, 1000} {
		all[object(n, n)] = true
		for _, again := range []int{0, 1, n / 2, n - 1} {
			all[object(n, again)] = false
		}
	}
	return all
}

// object has n members and one more, which repeats a name if there is one.
func object(n, again int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"m%d":1,`, i)
	}
	return "{" + b.String() + fmt.Sprintf(`"m%d":2}`, again)
}

func TestSEC_04_Members(t *testing.T) {
	for text, ok := range strictTexts() {
		t.Run("SEC-04 "+text[:min(len(text), 40)], func(t *testing.T) {
			if got := sameAsDecode(t, []byte(text)); got != ok {
				t.Errorf("accepted: %v, want %v", got, ok)
			}
		})
	}
	t.Run("SEC-04 not UTF-8", func(t *testing.T) {
		for _, text := range []string{"{\"a\":\"\xff\"}", "{\"\xff\":1}", "\xff{}", "{}\xff"} {
			if oauth.Members([]byte(text), nil) == nil {
				t.Errorf("%q is accepted", text)
			}
		}
	})
}

func TestMembersInOrder(t *testing.T) {
	var got bytes.Buffer
	err := oauth.Members([]byte(` {"b" : [1, {"x":2}] ,"\u0061":"\u0061"}`), func(name, value []byte) {
		fmt.Fprintf(&got, "%s=%s;", name, value)
	})
	if want := `b=[1, {"x":2}];a="\u0061";`; err != nil || got.String() != want {
		t.Errorf("%s, %v, want %s", got.String(), err, want)
	}
}

// What a stranger sends must not cost more than reading it.
func TestMembersAllocatesNothing(t *testing.T) {
	data := []byte(`{"iss":"https://as.example","exp":1800000300,"permissions":[{"resource_id":"a","resource_scopes":["read","write"]}]}`)
	if n := testing.AllocsPerRun(100, func() { _ = oauth.Members(data, nil) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzMembers: Members and go-jose's decoder agree on any text.
func FuzzMembers(f *testing.F) {
	for text := range maps.Keys(strictTexts()) {
		if len(text) < 1000 {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { sameAsDecode(t, data) })
}
