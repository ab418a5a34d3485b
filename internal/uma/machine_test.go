package uma_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store/postgres"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// TestSEC_12_Machine drives the server with random sequences of calls, by people
// who may and who may not, and holds every answer against a model: no sequence
// ever yields a permission that no policy granted, and no ticket is spent twice.
func TestSEC_12_Machine(t *testing.T) {
	t.Run("bolt", func(t *testing.T) { drive(t, newBench(t, machineConfig)) })
	t.Run("postgres", func(t *testing.T) { drive(t, newBench(t, machineConfig, onPostgres)) })
}

// onPostgres puts the server on a PostgreSQL.
func onPostgres(b *bench) {
	dsn := pgtest.DSN(b.t)
	s, err := postgres.Open(b.t.Context(), postgres.Options{DSN: dsn, Schema: pgtest.Schema(b.t, dsn), Now: b.clock})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = s.Close() })
	b.cfg.Store = s
}

func machineConfig(b *bench) { b.cfg.Rounds, b.cfg.RefreshLifetime = machineRounds, time.Hour }

// drive runs the machine many times on one server, each time with new resources,
// tickets and policies.
func drive(t *testing.T, b *bench) {
	t.Helper()
	rapid.Check(t, func(r *rapid.T) {
		m := newMachine(b)
		r.Repeat(m.actions())
	})
}

// machine is the server and what should be true of it.
type machine struct {
	b         *bench
	pats      map[string]string
	resources []*modelResource
	tickets   []*modelTicket
	tokens    []*modelToken
	rules     []modelRule
}

type modelResource struct {
	id, server, name string
	scopes           []string
	gone             bool
}

type modelTicket struct {
	text   string
	server string
	asked  map[*modelResource][]string
	spent  bool
	made   time.Time
	client string // bound to
	round  int
	// What came of it: when, by which client, and what.
	at    time.Time
	by    string
	next  *modelTicket
	token *modelToken
}

// modelToken is an RPT and what it may do.
type modelToken struct {
	rpt, refresh string
	server       string
	client       string
	person       string
	may          map[*modelResource][]string
	made         time.Time
	dead         bool
}

// modelRule lets a person (or everybody of the domain) use scopes of a server.
type modelRule struct {
	person string // "" = everybody
	server string
	scopes []string
	deny   bool
}

const machineRounds = 3

func newMachine(b *bench) *machine {
	m := &machine{b: b, pats: map[string]string{}}
	m.obey([]modelRule{{person: "bob", server: "api", scopes: []string{"get"}}})
	for _, rs := range []string{"api", "photos"} {
		m.pats[rs] = b.pat(rs)
	}
	return m
}

// obey is a reload with other policies.
func (m *machine) obey(rules []modelRule) {
	m.rules = rules
	m.b.cfg.Policies, m.b.cfg.PolicyRevision = m.policies(), fmt.Sprint(m.rules)
	m.b.rings()
	server, err := uma.New(m.b.cfg)
	if err != nil {
		m.b.t.Fatal(err)
	}
	m.b.server = server
}

func (m *machine) policies() []uma.Policy {
	var all []uma.Policy
	for i, r := range m.rules {
		p := uma.Policy{Name: fmt.Sprintf("p%d", i), ResourceServers: []string{r.server}, Scopes: r.scopes, Deny: r.deny, From: from("bob.example")}
		if r.person != "" {
			p.From = from(r.person + "@bob.example")
		}
		all = append(all, p)
	}
	return all
}

// allows is the model of the policies.
func (m *machine) allows(person, server, scope string) bool {
	allowed := false
	for _, r := range m.rules {
		if r.person != "" && r.person != person || r.server != server || !slices.Contains(r.scopes, scope) {
			continue
		}
		if r.deny {
			return false
		}
		allowed = true
	}
	return allowed
}

// named tells whether some policy of the server speaks of a person: otherwise
// the person is denied unseen.
func (m *machine) named(person, server string) bool {
	return slices.ContainsFunc(m.rules, func(r modelRule) bool {
		return !r.deny && r.server == server && (r.person == "" || r.person == person)
	})
}

func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"register": m.register, "forget": m.forget, "narrow": m.narrow, "ticket": m.ticket,
		"present": m.present, "present again": m.present, "present once more": m.present,
		"introspect": m.introspect, "introspect again": m.introspect,
		"refresh": m.refresh, "revoke": m.revoke, "policies": m.change, "pass": m.pass,
	}
}

func (m *machine) register(r *rapid.T) {
	if len(m.resources) > 6 {
		r.Skip("enough")
	}
	server := rapid.SampledFrom([]string{"api", "photos"}).Draw(r, "server")
	name := rapid.SampledFrom([]string{"RS API", "Album"}).Draw(r, "name")
	res := &modelResource{server: server, name: name, scopes: []string{"get", "post"}}
	res.id = m.b.register(m.pats[server], name, "", res.scopes...)
	m.resources = append(m.resources, res)
}

func (m *machine) resource(r *rapid.T) *modelResource {
	live := slices.DeleteFunc(slices.Clone(m.resources), func(x *modelResource) bool { return x.gone })
	if len(live) == 0 {
		r.Skip("no resource")
	}
	return rapid.SampledFrom(live).Draw(r, "resource")
}

func (m *machine) forget(r *rapid.T) {
	res := m.resource(r)
	if got := m.b.call(m.pats[res.server], http.MethodDelete, "resource/"+res.id, ""); got.status != http.StatusNoContent {
		r.Fatalf("delete: %d %s", got.status, got.text)
	}
	res.gone = true
}

func (m *machine) narrow(r *rapid.T) {
	res := m.resource(r)
	res.scopes = rapid.SampledFrom([][]string{{"get"}, {"get", "post"}, {"post"}}).Draw(r, "scopes")
	body := `{"name":"` + res.name + `","resource_scopes":["` + strings.Join(res.scopes, `","`) + `"]}`
	if got := m.b.call(m.pats[res.server], http.MethodPut, "resource/"+res.id, body); got.status != http.StatusOK {
		r.Fatalf("update: %d %s", got.status, got.text)
	}
}

func (m *machine) ticket(r *rapid.T) {
	res := m.resource(r)
	scopes := rapid.SliceOfNDistinct(rapid.SampledFrom(res.scopes), 1, len(res.scopes), rapid.ID).Draw(r, "scopes")
	t := &modelTicket{server: res.server, asked: map[*modelResource][]string{res: scopes}, made: m.b.clock()}
	t.text = m.b.ticket(m.pats[res.server], res.id, scopes...)
	m.tickets = append(m.tickets, t)
	if len(m.tickets) > 12 {
		m.tickets = m.tickets[1:]
	}
}

// present presents a ticket: with a good claims token, with one for another
// ticket or resource server, or with none.
func (m *machine) present(r *rapid.T) {
	if len(m.tickets) == 0 {
		r.Skip("no ticket")
	}
	t := m.tickets[len(m.tickets)-1-rapid.IntRange(0, min(3, len(m.tickets)-1)).Draw(r, "ticket")]
	person := rapid.SampledFrom([]string{"bob", "bob", "carol", "mallory"}).Draw(r, "person")
	client := rapid.SampledFrom([]string{"app", "other", "web"}).Draw(r, "client")
	kind := rapid.SampledFrom([]string{"good", "good", "good", "none", "other ticket", "other server"}).Draw(r, "claims")
	res := m.push(t, person, client, kind)
	want := m.expect(t, person, client, kind)
	if got := res.code(); got != want {
		r.Fatalf("present by %s of %s with %s: %d %s, want %q", client, person, kind, res.status, res.text, want)
	}
	if want == "invalid_grant" {
		m.replay(t, client)
		return
	}
	t.spent, t.at, t.by = true, m.b.clock(), client
	switch want {
	case "":
		m.took(r, t, person, client, res)
	case "need_info":
		t.next = &modelTicket{
			text: res.get("ticket"), server: t.server, asked: t.asked, made: m.b.clock(), client: client, round: t.round + 1,
		}
		m.tickets = append(m.tickets, t.next)
	}
}

// replay is CONFORMANCE A40: the same authenticated client presents a ticket again,
// after the grace. Then what came of the ticket is worth nothing any more.
func (m *machine) replay(t *modelTicket, client string) {
	now := m.b.clock()
	live := now.Before(t.made.Add(5*time.Minute)) && (t.client == "" || t.client == client)
	if !live || t.by != client || client != "web" || now.Before(t.at.Add(10*time.Second)) {
		return
	}
	for t != nil {
		if t.token != nil {
			t.token.dead = true
		}
		if t.next != nil && !t.next.spent {
			t.next.spent = true
			return
		}
		t = t.next
	}
}

func (m *machine) push(t *modelTicket, person, client, kind string) reply {
	audience := map[string]string{"api": apiURI, "photos": "Photos"}
	form := map[string]string{"grant_type": oauth.GrantUMATicket, "ticket": t.text}
	claims := m.b.claims(t.text, map[string]any{"email": person + "@bob.example", "sub": person, "aud": audience[t.server]})
	switch kind {
	case "other ticket":
		claims["ticket_challenge"] = oauth.TicketChallenge("x" + t.text)
	case "other server":
		claims["aud"] = audience[map[string]string{"api": "photos", "photos": "api"}[t.server]]
	}
	if kind != "none" {
		form["claim_token"], form["claim_token_format"] = m.b.sign(claims), oauth.ClaimTokenFormatJWT
	}
	if client == "web" {
		return m.b.token(form, basic("web", webSecret))
	}
	form["client_id"] = client
	return m.b.token(form)
}

// expect is what the model says of a presentation: an error code, or "".
func (m *machine) expect(t *modelTicket, person, client, kind string) string {
	now := m.b.clock()
	if t.spent || !now.Before(t.made.Add(5*time.Minute)) || t.client != "" && t.client != client {
		return "invalid_grant"
	}
	whole, any := true, false
	for res, scopes := range t.asked {
		left := 0
		for _, scope := range scopes {
			if !res.gone && slices.Contains(res.scopes, scope) {
				left++
				whole = whole && m.allows(person, t.server, scope)
			}
		}
		whole, any = whole && left == len(scopes), any || left > 0
	}
	switch {
	case !any:
		return "request_denied"
	case kind != "good" && t.round+1 > machineRounds:
		return "request_denied"
	case kind != "good":
		return "need_info"
	case !m.named(person, t.server) || !whole:
		return "request_denied"
	}
	return ""
}

// took holds an RPT against what was asked for.
func (m *machine) took(r *rapid.T, t *modelTicket, person, client string, res reply) {
	got := m.b.permissions(res)
	if len(got) != len(t.asked) {
		r.Fatalf("permissions %v", got)
	}
	token := &modelToken{
		rpt: res.get("access_token"), refresh: res.get("refresh_token"), server: t.server, client: client, person: person,
		may: maps.Clone(t.asked), made: m.b.clock(),
	}
	for resource, scopes := range t.asked {
		if !slices.Equal(slices.Sorted(slices.Values(got[resource.id])), slices.Sorted(slices.Values(scopes))) {
			r.Fatalf("permissions %v, want %v", got, scopes)
		}
	}
	if (token.refresh != "") != (client == "web") {
		r.Fatalf("A25: refresh token %q of %s", token.refresh, client)
	}
	m.tokens = append(m.tokens, token)
	t.token = token
}

func (m *machine) token(r *rapid.T) *modelToken {
	if len(m.tokens) == 0 {
		r.Skip("no token")
	}
	return m.tokens[len(m.tokens)-1-rapid.IntRange(0, min(2, len(m.tokens)-1)).Draw(r, "token")]
}

// stands tells whether the policies of now still allow a grant whole.
func (m *machine) stands(token *modelToken) bool {
	for res, scopes := range token.may {
		for _, scope := range scopes {
			// What is not registered any more is not a question for the policies.
			if !res.gone && slices.Contains(res.scopes, scope) && !m.allows(token.person, token.server, scope) {
				return false
			}
		}
	}
	return true
}

func (m *machine) introspect(r *rapid.T) {
	token := m.token(r)
	caller := rapid.SampledFrom([]string{token.server, token.server, "api", "photos"}).Draw(r, "caller")
	res := m.b.send("introspect", map[string]string{"token": token.rpt}, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+m.pats[caller])
	})
	if res.status != http.StatusOK {
		r.Fatalf("introspect: %d %s", res.status, res.text)
	}
	want := map[string][]string{}
	if caller == token.server && !token.dead && m.b.clock().Before(token.made.Add(5*time.Minute)) {
		if !m.stands(token) {
			token.dead = true
		} else {
			want = m.left(token)
		}
	}
	if active := res.body["active"] == true; active != (len(want) > 0) {
		r.Fatalf("introspect by %s: %s, want %v", caller, res.text, want)
	}
	if len(want) > 0 {
		m.same(r, res.body["permissions"], want)
	}
}

// left are the permissions of a token that are registered still.
func (m *machine) left(token *modelToken) map[string][]string {
	out := map[string][]string{}
	for res, scopes := range token.may {
		for _, scope := range scopes {
			if !res.gone && slices.Contains(res.scopes, scope) {
				out[res.id] = append(out[res.id], scope)
			}
		}
	}
	return out
}

func (m *machine) same(r *rapid.T, permissions any, want map[string][]string) {
	list, _ := permissions.([]any)
	if len(list) != len(want) {
		r.Fatalf("permissions %v, want %v", list, want)
	}
	for _, entry := range list {
		p, _ := entry.(map[string]any)
		id, _ := p["resource_id"].(string)
		scopes, _ := p["resource_scopes"].([]any)
		var got []string
		for _, s := range scopes {
			got = append(got, fmt.Sprint(s))
		}
		slices.Sort(got)
		if !slices.Equal(got, slices.Sorted(slices.Values(want[id]))) {
			r.Fatalf("permissions %v, want %v", list, want)
		}
	}
}

func (m *machine) refresh(r *rapid.T) {
	token := m.token(r)
	if token.refresh == "" {
		r.Skip("no refresh token")
	}
	client := rapid.SampledFrom([]string{"web", "app"}).Draw(r, "client")
	form := map[string]string{"grant_type": "refresh_token", "refresh_token": token.refresh}
	if client == "app" {
		form["client_id"] = "app"
		if res := m.b.token(form); res.status == http.StatusOK {
			r.Fatalf("OA-08: %s", res.text)
		}
		return
	}
	res := m.b.token(form, basic("web", webSecret))
	alive := !token.dead && m.b.clock().Before(token.made.Add(time.Hour))
	if alive && !m.stands(token) {
		token.dead, alive = true, false
	}
	if want := alive && len(m.left(token)) > 0; (res.status == http.StatusOK) != want {
		r.Fatalf("refresh: %d %s, want %v", res.status, res.text, want)
	}
	if res.status != http.StatusOK {
		return
	}
	got := m.b.permissions(res)
	for id, scopes := range m.left(token) {
		if !slices.Equal(slices.Sorted(slices.Values(got[id])), slices.Sorted(slices.Values(scopes))) {
			r.Fatalf("refreshed %v, want %v", got, scopes)
		}
	}
	token.refresh = res.get("refresh_token")
}

func (m *machine) revoke(r *rapid.T) {
	token := m.token(r)
	form := map[string]string{"token": token.rpt}
	edits := []func(*http.Request){}
	by := rapid.SampledFrom([]string{token.client, "other"}).Draw(r, "by")
	if by == "web" {
		edits = append(edits, basic("web", webSecret))
		if token.refresh != "" {
			form["token"] = token.refresh
		}
	} else {
		form["client_id"] = by
	}
	if res := m.b.send("revoke", form, edits...); res.status != http.StatusOK {
		r.Fatalf("revoke: %d %s", res.status, res.text)
	}
	if by == token.client {
		token.dead = true
	}
}

func (m *machine) change(r *rapid.T) {
	rule := rapid.Custom(func(r *rapid.T) modelRule {
		return modelRule{
			person: rapid.SampledFrom([]string{"", "bob", "carol"}).Draw(r, "person"),
			server: rapid.SampledFrom([]string{"api", "photos"}).Draw(r, "server"),
			scopes: rapid.SampledFrom([][]string{{"get", "post"}, {"get"}, {"post"}}).Draw(r, "scopes"),
			deny:   rapid.IntRange(0, 3).Draw(r, "deny") == 3,
		}
	})
	m.obey(rapid.SliceOfN(rule, 0, 4).Draw(r, "rules"))
}

func (m *machine) pass(r *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Second, 4 * time.Minute}).Draw(r, "time")
	m.b.pass(d)
	for rs := range m.pats { // a PAT lives for an hour
		m.pats[rs] = m.b.pat(rs)
	}
}
