package oauth_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func challenge(scheme string, params ...string) oauth.Challenge {
	c := oauth.Challenge{Scheme: scheme}
	for i := 0; i < len(params); i += 2 {
		c.Params = append(c.Params, oauth.Param{Name: params[i], Value: params[i+1]})
	}
	return c
}

func TestParseChallenges(t *testing.T) {
	uma := challenge("UMA", "realm", "x", "ticket", "t")
	for name, tc := range map[string]struct {
		lines []string
		want  []oauth.Challenge // nil = refused
	}{
		"none":                      {nil, []oauth.Challenge{}},
		"one":                       {[]string{`UMA realm="x", ticket="t"`}, []oauth.Challenge{uma}},
		"tokens":                    {[]string{`UMA realm=x,ticket=t`}, []oauth.Challenge{uma}},
		"blanks and empty elements": {[]string{" , UMA  realm = \"x\" ,, ticket\t=t , "}, []oauth.Challenge{uma}},
		"several on a line":         {[]string{`Basic realm="b", UMA realm="x", ticket="t", Bearer`}, []oauth.Challenge{challenge("Basic", "realm", "b"), uma, challenge("Bearer")}},
		"several lines":             {[]string{`Negotiate`, `UMA realm="x", ticket="t"`}, []oauth.Challenge{challenge("Negotiate"), uma}},
		"token68":                   {[]string{`Negotiate abc==, UMA realm="x", ticket="t"`}, []oauth.Challenge{challenge("Negotiate"), uma}},
		"token68 with a slash":      {[]string{`Negotiate /a+b/, UMA realm="x", ticket="t"`}, []oauth.Challenge{challenge("Negotiate"), uma}},
		"token68 at the end":        {[]string{`UMA realm="x", ticket="t", Negotiate YWI=`}, []oauth.Challenge{uma, challenge("Negotiate")}},
		"quoted pairs":              {[]string{`UMA realm="a\"b\\c\d", ticket=""`}, []oauth.Challenge{challenge("UMA", "realm", `a"b\cd`, "ticket", "")}},
		"a challenge in a value":    {[]string{`UMA realm="x, Basic realm=\"y\"", ticket="t"`}, []oauth.Challenge{challenge("UMA", "realm", `x, Basic realm="y"`, "ticket", "t")}},

		"repeated parameter":     {[]string{`UMA ticket="a", ticket="b"`}, nil},
		"repeated, another case": {[]string{`UMA ticket="a", Ticket="b"`}, nil},
		"no end of quotes":       {[]string{`UMA ticket="a`}, nil},
		"backslash at the end":   {[]string{`UMA ticket="a\`}, nil},
		"no comma":               {[]string{`UMA realm="x" ticket="t"`}, nil},
		"no value":               {[]string{`UMA realm="x", ticket=@`}, nil},
		"token68 and more":       {[]string{`UMA abc ticket="t"`}, nil},
		"no blank":               {[]string{`UMA/abc`}, nil},
		"no scheme":              {[]string{`="x"`}, nil},
		"parameter first":        {[]string{`ticket="t"`}, nil},
		"quoted scheme":          {[]string{`"UMA" ticket="t"`}, nil},
		"a bad line spoils all":  {[]string{`UMA realm="x", ticket="t"`, `UMA "`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := oauth.ParseChallenges(tc.lines)
			if (err == nil) != (tc.want != nil) {
				t.Fatalf("%+v, %v", got, err)
			}
			if err == nil && len(got)+len(tc.want) > 0 && !cmp.Equal(got, tc.want) {
				t.Errorf("%s", cmp.Diff(tc.want, got))
			}
		})
	}
}

func TestChallenge_String(t *testing.T) {
	c := challenge("UMA", "realm", `a"b\c`, "empty", "", "ticket", "t\r\nX: y")
	if got, want := c.String(), `UMA realm="a\"b\\c", ticket="tX: y"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if c.Get("REALM") != `a"b\c` || c.Get("x") != "" {
		t.Error("Get")
	}
}

// FuzzParseChallenges: what is read can be written and is then read the same.
func FuzzParseChallenges(f *testing.F) {
	for _, seed := range []string{`UMA realm="x", ticket="t"`, `Negotiate abc==, Basic realm=x`, `a,b,c`, `UMA a="\"", b=`, `,=,`, `x /=, y z="`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		list, err := oauth.ParseChallenges([]string{line})
		if err != nil {
			return
		}
		for _, c := range list {
			if c.Scheme == "" {
				t.Fatalf("%q: no scheme", line)
			}
			for i := range c.Params { // values that String changes on purpose
				c.Params[i].Value = strings.Map(func(r rune) rune {
					if r < 0x20 || r == 0x7f || r == 0xfffd {
						return -1
					}
					return r
				}, c.Params[i].Value) + "x"
			}
			again, err := oauth.ParseChallenges([]string{c.String()})
			if err != nil || len(again) != 1 || !cmp.Equal(again[0], c) {
				t.Fatalf("%q: %+v written %q read %+v %v", line, c, c.String(), again, err)
			}
		}
	})
}
