package oauth_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func TestSEC_04_DecodeJSON(t *testing.T) {
	type inner struct {
		C string `json:"c"`
	}
	type doc struct {
		Aud   string         `json:"aud"`
		Inner inner          `json:"inner"`
		Any   map[string]any `json:"any"`
	}
	nested := func(n int) string {
		return `{"x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
	}
	for name, tc := range map[string]struct {
		text string
		ok   bool
	}{
		"good":                      {`{"aud":"x","unknown":[1,{"a":null}]}`, true},
		"blanks around":             {" \r\n{\"aud\":\"x\"}\t", true},
		"repeated":                  {`{"aud":"x","aud":"y"}`, false},
		"repeated, the same":        {`{"aud":"x","aud":"x"}`, false},
		"repeated, escaped":         {`{"aud":"x","\u0061ud":"y"}`, false},
		"repeated and unknown":      {`{"x":1,"x":2}`, false},
		"repeated in a struct":      {`{"inner":{"c":"1","c":"2"}}`, false},
		"repeated in a map":         {`{"any":{"c":"1","c":"2"}}`, false},
		"repeated deep in a map":    {`{"any":{"c":[{"d":1,"d":2}]}}`, false},
		"trailing object":           {`{"aud":"x"}{}`, false},
		"trailing text":             {`{"aud":"x"}x`, false},
		"cut":                       {`{"aud":"x"`, false},
		"byte order mark":           {"\xef\xbb\xbf{}", false},
		"an array":                  {`[{"aud":"x"}]`, false},
		"null":                      {`null`, false},
		"a string":                  {`"x"`, false},
		"nothing":                   {``, false},
		"comment":                   {`{}//`, false},
		"comma":                     {`{"aud":"x",}`, false},
		"wrong type":                {`{"aud":1}`, false},
		"32 deep":                   {nested(32), true},
		"33 deep":                   {nested(33), false},
		"brackets in a string":      {`{"aud":"` + strings.Repeat("[", 40) + `"}`, true},
		"escaped quotes and braces": {`{"aud":"\"` + strings.Repeat("{", 40) + `\\"}`, true},
		"far too deep":              {strings.Repeat(`{"x":`, 100000), false},
	} {
		t.Run(name, func(t *testing.T) {
			var d doc
			var all map[string]any
			err1, err2 := oauth.DecodeObject([]byte(tc.text), &d), oauth.DecodeObject([]byte(tc.text), &all)
			if (err1 == nil) != tc.ok || err2 == nil && !tc.ok && name != "wrong type" {
				t.Errorf("%v, %v", err1, err2)
			}
		})
	}
	t.Run("UG-02 another case is another member", func(t *testing.T) {
		var d doc
		if err := oauth.DecodeObject([]byte(`{"AUD":"evil","aud":"x","Aud":"evil"}`), &d); err != nil || d.Aud != "x" {
			t.Errorf("%+v, %v", d, err)
		}
	})
}

// What an administrator orders is never more than he wrote.
func TestDecodeCommand(t *testing.T) {
	type command struct {
		Client string `json:"client_id"`
		Limit  int    `json:"limit"`
		After  string `json:"after"`
	}
	for name, tc := range map[string]struct {
		text string
		ok   bool
	}{
		"all":                        {`{"client_id":"app","limit":3}`, true},
		"one":                        {`{"client_id":"app"}`, true},
		"nothing":                    {`{}`, true},
		"the first page":             {`{"after":""}`, true},
		"unknown":                    {`{"client_id":"app","ownr":"alice"}`, false},
		"empty, as of an unset $VAR": {`{"client_id":""}`, false},
		"empty after a blank":        {"{\"limit\":3,\"client_id\": \t\"\" }", false},
		"null, as of an unset value": {`{"limit":3,"client_id":null}`, false},
		"null for the first page":    {`{"after":null}`, true},
		"twice":                      {`{"client_id":"app","client_id":"app"}`, false},
		"in another case":            {`{"Client_ID":"app"}`, false},
		"twice but for the case":     {`{"client_id":"app","CLIENT_ID":"all"}`, false},
		"more behind it":             {`{"client_id":"app"}{"limit":3}`, false},
		"no object":                  {`["app"]`, false},
		"no text":                    {``, false},
		"another type":               {`{"client_id":1}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			var c command
			if err := oauth.DecodeCommand([]byte(tc.text), &c); (err == nil) != tc.ok || err != nil && !errors.Is(err, oauth.ErrNotJSON) {
				t.Error(err)
			}
		})
	}
}

// FuzzDecodeObject: what is accepted is JSON for others, too, with the same
// members.
func FuzzDecodeObject(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `{"a":1,"a":2}`, `{"a":{"b":[1,2]}}`, `{}x`, `{"\u0061":1}`, `[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var strict map[string]any
		if oauth.DecodeObject(data, &strict) != nil {
			return
		}
		var loose map[string]any
		if err := json.Unmarshal(data, &loose); err != nil || len(loose) != len(strict) {
			t.Errorf("%q: %v, %d and %d members", data, err, len(loose), len(strict))
		}
	})
}
