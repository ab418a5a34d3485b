package caddyrs

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// gallery has a pattern, whose users own the photos, and the rest.
const gallery = "\t\tresource photo /users/:user/photos/:id {\n\t\t\towner :user\n\t\t}\n\t\tresource rest\n"

// instanceRPT is an RPT for a photo of a user, and for all that is no photo.
func (s *site) instanceRPT(user, id string) []string {
	s.t.Helper()
	instance := oauth.InstanceID(s.as.idOf("photo"), user, []oauth.Capture{{Name: "user", Value: user}, {Name: "id", Value: id}})
	return bearer(s.as.rpt("photo", nil, map[string]any{"permissions": []any{
		map[string]any{"resource_id": instance, "resource_scopes": []string{"get"}},
		map[string]any{"resource_id": s.as.idOf("rest"), "resource_scopes": []string{"get"}},
	}}))
}

func TestSEC_21_Instances(t *testing.T) {
	s := newSite(t, protect(gallery)+proxy)
	s.do("GET", "/", "")
	for _, tc := range []struct {
		target   string
		user, id string
		want     int
	}{
		{"/users/alice/photos/7", "alice", "7", 202},
		{"/users/alice/photos/7?x=/users/carol/photos/7", "alice", "7", 202},
		{"/users/alice/photos/holiday%202026.jpg", "alice", "holiday 2026.jpg", 202},
		{"/users/%61lice/photos/7", "alice", "7", 202},
		{"/users/al+ice/photos/7", "al+ice", "7", 202},
		{"/users/alice@alice.example/photos/a:b", "alice@alice.example", "a:b", 202},
		{"/users/%E4%BD%A0/photos/%C3%A9", "你", "é", 202},
		{"/users/alice/photos/7|8", "alice", "7|8", 202},
		{"/USERS/alice/Photos/7", "alice", "7", 202},
		{"/users/alice/photos/" + strings.Repeat("7", 256), "alice", strings.Repeat("7", 256), 202},
		{"/users/alice/photos", "alice", "7", 202}, // the rest
		{"/users/alice/photos/7/small", "alice", "7", 202},

		{"/users/alice/photos/7/", "alice", "7", 400}, // which many programs take for the photo
		{"/users/alice/photos/7/x.php", "alice", "7", 202},
		{"/users/alice/x.php/photos/7", "alice", "7", 400},
		{"/users/alice/photos/8", "alice", "7", 401},
		{"/users/carol/photos/7", "alice", "7", 401},
		{"/users/Alice/photos/7", "alice", "7", 401},
		{"/users/alice/photos/7", "alice", "7 ", 401},
		{"/USERS/carol/photos/7", "alice", "7", 401},

		{"/users/alice/photos/" + strings.Repeat("7", 257), "alice", "7", 400},
		{"/users/alice%2Fphotos/7", "alice", "7", 400},
		{"/users/alice/photos/7%2F8", "alice", "7", 400},
		{"/users/alice/photos%2F7", "alice", "7", 400},
		{"/users/alice/photos/%37%2e", "alice", "7", 400},
		{"/users/alice/photos/7.", "alice", "7", 400},
		{"/users/alice/photos/7%20", "alice", "7", 400},
		{"/users/alice/photos/7;v=1", "alice", "7", 400},
		{"/users/alice;a/photos/7", "alice", "7", 400},
		{"/users/alice/photos/..;/photos/7", "alice", "7", 400},
		{"/users/carol/../alice/photos/7", "alice", "7", 400},
		{"/users/carol/..%2Falice/photos/7", "alice", "7", 400},
		{"/users/carol%2F..%2Falice/photos/7", "alice", "7", 400},
		{"/users/./alice/photos/7", "alice", "7", 400},
		{"/users/alice/photos/.", "alice", "7", 400},
		{"/users/alice/photos/%2e%2e", "alice", "7", 400},
		{"/users//photos/7", "alice", "7", 400},
		{"/users/alice//photos/7", "alice", "7", 400},
		{"//users/alice/photos/7", "alice", "7", 400},
		{"/users/alice/photos/7%00", "alice", "7", 400},
		{"/users/alice%00/photos/7", "alice", "7", 400},
		{"/users/alice/photos/7%0a", "alice", "7", 400},
		{"/users/alice/photos/7%3Fx", "alice", "7", 400},
		{"/users/alice/photos/7%23x", "alice", "7", 400},
		{"/users/alice/photos/%2537", "alice", "7", 400},
		{"/users/al%2569ce/photos/7", "alice", "7", 400},
		{"/users/alice/photos/%c0%b7", "alice", "7", 400},
		{"/users/alice/photos/7%ff", "alice", "7", 400},
		{"/users/alice%5Cphotos%5C7", "alice", "7", 400},
		{"/users/alice/photos/7%5C..%5C8", "alice", "7", 400},
		{"/users/alice/photos/e%CC%81", "alice", "é", 400},   // written in two characters
		{"/users/%EF%BD%81lice/photos/7", "alice", "7", 400}, // a wide a
		{"/users/%EF%BD%81lice/photos/7", "ａlice", "7", 400},
		{"/users/al%E2%80%8Bice/photos/7", "alice", "7", 400}, // an invisible space
		{"/users/al%E2%80%8Bice/photos/7", "al\u200bice", "7", 400},
		{"/users/%C5%BFam/photos/7", "ſam", "7", 400}, // a long s
		{"/users/%E2%84%AAate/photos/7", "\u212aate", "7", 400},
		{"/users%EF%BC%8Fcarol/photos/7", "alice", "7", 400}, // a wide slash
		{"/users/(S(x))/alice/photos/7", "alice", "7", 400},
		{"/%C5%BFers/carol/photos/7", "alice", "7", 202},
		{"/u%C5%BFers/carol/photos/7", "alice", "7", 400},
	} {
		t.Run("SEC-21 "+tc.target, func(t *testing.T) {
			before := s.hitCount()
			header := s.instanceRPT(tc.user, tc.id)
			got := s.raw("GET "+tc.target+" HTTP/1.1", "Host: x", header[0]+": "+header[1])
			if got != tc.want || (s.hitCount() > before) != (tc.want == 202) {
				t.Errorf("status = %d, want %d; %d hits", got, tc.want, s.hitCount()-before)
			}
		})
	}
	t.Run("an odd Host leads nowhere else", func(t *testing.T) {
		header := s.instanceRPT("alice", "7")
		for _, host := range []string{"a%zz", "[::1", "a b", "x:99999999", "", "user@x"} {
			for target, open := range map[string]bool{"/users/alice/photos/7": true, "/users/carol/photos/7": false} {
				before := s.hitCount()
				got := s.raw("GET "+target+" HTTP/1.1", "Host: "+host, header[0]+": "+header[1])
				if s.hitCount() > before && !open || got == 202 && !open {
					t.Errorf("Host %q %s: %d", host, target, got)
				}
			}
		}
	})
}

// UG-65: what the anonymous answer says does not depend on the instance.
func TestUG_65_Instances(t *testing.T) {
	s := newSite(t, protect(gallery)+proxy)
	resp, body := s.do("GET", "/users/alice-of-nowhere/photos/4711", "")
	text := body
	for name, values := range resp.Header {
		text += name + strings.Join(values, " ")
	}
	if resp.StatusCode != 401 || strings.Contains(text, "alice-of-nowhere") || strings.Contains(text, "4711") || strings.Contains(text, "photo") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

// A41: who owns what a request is for, and what leads to nobody.
func TestA41_OwnerOfARequest(t *testing.T) {
	for _, tc := range []struct {
		name, owner, target, want string
	}{
		{"a capture", ":user", "/users/alice/photos/7", "alice"},
		{"two", ":user-:id", "/users/alice/photos/7", "alice-7"},
		{"a part", "org-:user", "/users/alice/photos/7", "org-alice"},
		{"a placeholder", "{http.request.header.X-Owner}", "/users/alice/photos/7", "org"},
		{"both", "https://{http.request.header.X-Owner}.example/:user", "/users/alice/photos/7", "https://org.example/alice"},
		{"expanded once", ":user", "/users/%7Bhttp.request.header.X-Owner%7D/photos/7", "{http.request.header.X-Owner}"},
		{"expanded once, header", "{http.request.header.X-Braces}", "/users/alice/photos/7", "{http.request.host}"},
		{"no template", "alice", "/users/carol/photos/7", ""},
		{"of the rest", ":user", "/x", ""},
		{"no value", "{http.request.header.X-None}", "/users/alice/photos/7", "nobody"},
		{"no value, but a text", "org-{http.request.header.X-None}", "/users/alice/photos/7", "nobody"},
		{"anybody", ":user", "/users/*/photos/7", "nobody"},
		{"too long", ":user-:id", "/users/" + strings.Repeat("a", 200) + "/photos/" + strings.Repeat("b", 200), "nobody"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite(t, protect("\t\tresource photo /users/:user/photos/:id {\n\t\t\towner "+tc.owner+"\n\t\t}\n\t\tresource rest\n")+proxy)
			resp, _ := s.do("GET", tc.target, "", "X-Owner", "org", "X-Braces", "{http.request.host}")
			if tc.want == "nobody" {
				if resp.StatusCode != 403 || s.as.minted() != 0 {
					t.Errorf("%d, %d tickets", resp.StatusCode, s.as.minted())
				}
				return
			}
			asked := s.as.permission
			if want := `"owner":"` + tc.want + `"`; resp.StatusCode != 401 || strings.Contains(asked, `"owner"`) != (tc.want != "") || tc.want != "" && !strings.Contains(asked, want) {
				t.Errorf("%d %s", resp.StatusCode, asked)
			}
		})
	}
	t.Run("of everything", func(t *testing.T) {
		s := newSite(t, protect("\t\towner {http.request.header.X-Owner}\n")+proxy)
		if resp, _ := s.do("GET", "/", "", "X-Owner", "org"); resp.StatusCode != 401 || !strings.Contains(s.as.permission, `"captures":{},"owner":"org"`) {
			t.Errorf("%d %s", resp.StatusCode, s.as.permission)
		}
		if resp, _ := s.do("GET", "/", ""); resp.StatusCode != 403 {
			t.Errorf("of nobody: %d", resp.StatusCode)
		}
	})
}

// TestSEC_21_RandomInstances: the instance that decides is the one at which every
// upstream arrives.
func TestSEC_21_RandomInstances(t *testing.T) {
	p, err := newPattern("/:user/*")
	if err != nil {
		t.Fatal(err)
	}
	h := &Handler{byPath: true, Resources: []*Resource{{Name: "photo", patterns: []*pattern{p}}, {Name: "rest"}}}
	instance := func(path string) string {
		user, _, found := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if !found || user == "" {
			return "rest"
		}
		return user
	}
	photos := 0
	manyTargets(t, func(t *rapid.T, target string) (passes bool) {
		r := parsed(target)
		if r == nil || unclear(r) != nil {
			return false
		}
		at, err := h.placeOf(r)
		if err != nil || at.index < 0 {
			return false
		}
		holder := "rest"
		if at.index == 0 {
			photos++
			holder = at.capture("user")
		}
		for upstream, read := range upstreams {
			arrives := instance(read(r.URL.RequestURI()))
			other := holder != "rest" && arrives == "rest" && slices.Contains([]string{"php", "slash end"}, upstream)
			same := strings.EqualFold(arrives, holder) || strings.EqualFold(unescape(arrives), holder) // some decode nothing
			if !same && !other {
				t.Fatalf("%q is decided as %q; %s arrives at %q", target, holder, upstream, arrives)
			}
		}
		return true
	})
	if photos == 0 {
		t.Error("no instance passed")
	}
}

func TestPatterns(t *testing.T) {
	for _, tc := range []struct {
		pattern, path string
		want          []string // nil = no match
	}{
		{"/users/:user", "/users/alice", []string{"alice"}},
		{"/users/:user", "/users/alice/", nil},
		{"/users/:user", "/users/", nil},
		{"/users/:user", "/users", nil},
		{"/users/:user", "/other/alice", nil},
		{"/users/:user", "/xx/users/alice", nil},
		{"/users/:user/*", "/users/alice/", []string{"alice"}},
		{"/users/:user/*", "/users/alice/a/b", []string{"alice"}},
		{"/users/:user/*", "/users/alice", nil},
		{"/*/of/:user", "/a/b/of/alice", []string{"alice"}},
		{"/files/:name.jpg", "/files/a.b.JPG", []string{"a.b"}},
		{"/@:user", "/@alice", []string{"alice"}},
		{"/:a-:b", "/x-y-z", []string{"x", "y-z"}},
		{"/bücher/:id", "/Bücher/1", []string{"1"}},
		{"/bücher/:id", "/BÜCHER/Ab", []string{"folded", "ab"}},
		{"/a b/:id", "/A B/1", []string{"1"}},
		{"/a|b^c'd~e!f/:id", "/a|b^c'd~e!f/1", []string{"1"}},
		{"/k/:id", "/\u212a/1", []string{"folded", "1"}}, // the Kelvin sign
		{"/:id", "/100%", []string{"100%"}},
		{"/:id", "/%41", []string{"%41"}},
		{"/:id", `/a\b?c#d e"<>`, []string{`a\b?c#d e"<>`}},
		{"/:id", "/é", []string{"é"}},
		{"/:id", "/ ", []string{" "}},
	} {
		t.Run(tc.pattern+" "+tc.path, func(t *testing.T) {
			p, err := newPattern(tc.pattern)
			if err != nil {
				t.Fatal(err)
			}
			captures, folded, err := p.match(tc.path)
			var got []string
			if folded && captures != nil {
				got = append(got, "folded")
			}
			for _, c := range captures {
				got = append(got, c.Value)
			}
			if err != nil || !cmp.Equal(got, tc.want) {
				t.Errorf("match = %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}

func TestCovers(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"/users/:u", "/users/alice", true},
		{"/users/:u", "/USERS/:v", true},
		{"/users/:u", "/users/x-:v", true},
		{"/users/x-:u", "/users/:v", false},
		{"/users/:u", "/users/*", false},
		{"/users/:u", "/users/a*", false},
		{"/users/:u/*", "/users/a/*", true},
		{"/users/:u/*", "/users/*", false},
		{"/users/:u/*", "/users/:v/photos/:id", true},
		{"/users/:u/photos/:i", "/users/:v/*", false},
		{"/:u", "*.php", false},
		{"/:u", "*", false},
		{"/:u", "/a?", false},
		{"/users/*", "/users/:u", true},
		{"/users/*", "/:u", false},
		{"/users/a*", "/users/:u", false},
		{"/users/:u", "/users/", false},
	} {
		if got := covers(tc.a, tc.b); got != tc.want {
			t.Errorf("covers(%q, %q) = %v", tc.a, tc.b, got)
		}
	}
}

// FuzzPattern: whatever matches, putting the values into the pattern gives the path,
// and an instance has no two spellings.
func FuzzPattern(f *testing.F) {
	for _, p := range corpus(f, "targets.txt") {
		f.Add("/users" + p)
	}
	f.Add("/users/alice/photos/7")
	f.Add("/USERS/%41/photos/%25")
	p, err := newPattern("/users/:user/photos/:id")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		if _, err := readings(u); err != nil {
			return
		}
		captures, folded, err := p.match(u.Path)
		if err != nil || captures == nil || folded {
			return
		}
		path := "/users/" + captures[0].Value + "/photos/" + captures[1].Value
		if clean := caddyhttp.CleanPath(u.Path, true); !strings.EqualFold(path, clean) {
			t.Errorf("%q became %q", clean, path)
		}
		if slices.ContainsFunc(captures, func(c oauth.Capture) bool { return strings.Contains(c.Value, "/") || !oauth.IsCaptureValue(c.Value) }) {
			t.Errorf("%q has the captures %q", u.Path, captures)
		}
	})
}

// What JSON can say and a Caddyfile cannot is refused, too.
func TestInstances_JSON(t *testing.T) {
	set := caddyhttp.RawMatcherSets{{"method": []byte(`["GET"]`)}}
	good := func() *Resource { return &Resource{Name: "x", Patterns: []string{"/users/:user"}, Owner: ":user"} }
	for name, tc := range map[string]struct {
		edit func(*Handler, *Resource)
		want string
	}{
		"good":             {func(*Handler, *Resource) {}, ""},
		"a bound":          {func(h *Handler, _ *Resource) { h.MaxInstances = 100_000 }, ""},
		"no captures":      {func(_ *Handler, r *Resource) { r.Patterns, r.Owner = []string{"/users"}, "" }, "'/users' has no captures"},
		"with matchers":    {func(_ *Handler, r *Resource) { r.MatcherSetsRaw = set }, "captures and matchers cannot stand together"},
		"braces":           {func(_ *Handler, r *Resource) { r.Patterns = []string{"/{/:user}?"} }, "no other signs of a pattern"},
		"other captures":   {func(_ *Handler, r *Resource) { r.Patterns = append(r.Patterns, "/u/:u") }, "lacks the capture :user"},
		"a negative bound": {func(h *Handler, _ *Resource) { h.MaxInstances = -1 }, "max_instances must be a number"},
		"unused bound":     {func(h *Handler, r *Resource) { h.MaxInstances, r.Patterns, r.Owner = 1, nil, "" }, "max_instances is for resources with captures"},
		"owner of nothing": {func(h *Handler, r *Resource) { h.Owner, r.Owner = ":usr", "" }, "no path has the capture :usr"},
		"nil":              {func(h *Handler, _ *Resource) { h.Resources = append(h.Resources, nil) }, "a resource has no name"},
	} {
		t.Run(name, func(t *testing.T) {
			r := good()
			h := &Handler{Issuer: issuer, ClientID: "api", Resources: []*Resource{r}}
			tc.edit(h, r)
			err := h.checkSettings()
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("checkSettings = %v, want %q", err, tc.want)
			}
		})
	}
}
