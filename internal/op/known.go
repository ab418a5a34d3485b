package op

import (
	"net/http"
	"sync"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/limit"
)

// maxKnown bounds what is remembered of places; then it starts anew.
const maxKnown = 10_000

// places remembers from which sources a user has logged in. The limit of
// the source alone holds there, so that strangers who try his name from elsewhere
// cannot lock him out. Only a right password
// adds an entry.
type places struct {
	mu    sync.Mutex
	known map[string]bool
}

func place(source, name string) string { return hashID(source + "\x00" + name) }

func (p *places) add(source, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known) >= maxKnown {
		p.known = make(map[string]bool)
	}
	p.known[place(source, name)] = true
}

func (p *places) has(source, name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[place(source, name)]
}

// newStrangers limits what all places together from which a user has not logged
// in before may try: a burst, and then one attempt in half an hour. So many
// sources cannot guess on for days, and the user is let in where he is known.
func newStrangers(now func() time.Time) *limit.Limiter {
	return limit.New(50, 24*time.Hour, 100_000, now)
}

// knownLife is how long a browser is remembered in which a user has logged in.
const knownLife = 90 * 24 * time.Hour

// known is what the browser keeps of a login: it proves nothing but that it was
// let in before, so that a place is known after a restart, at another node, and
// under another address, too.
type known struct {
	User    string `json:"user"`
	ID      string `json:"id"`
	Expires int64  `json:"exp"`
}

func (p *Provider) knownData() []string { return []string{"op known browser", p.cfg.Issuer} }

// remember gives the browser its proof. It is no matter if that fails.
func (p *Provider) remember(w http.ResponseWriter, r *http.Request, u *user) {
	proof, err := p.sealJSON(r.Context(), known{
		User: hashID(u.name), ID: secret(), Expires: p.cfg.Now().Add(knownLife).Unix(),
	}, p.knownData()...)
	if err == nil {
		p.setCookie(w, "known", proof, knownLife)
	}
}

// knows tells whether the user has logged in in this browser before. A proof has
// a limit of its own: it may have been stolen.
func (p *Provider) knows(r *http.Request, name string) bool {
	c, err := r.Cookie(p.cookieName("known"))
	if err != nil || len(c.Value) > 1024 {
		return false
	}
	var k known
	if err := p.openJSON(r.Context(), c.Value, &k, p.knownData()...); err != nil {
		return false
	}
	if k.User != hashID(name) || p.cfg.Now().Unix() >= k.Expires {
		return false
	}
	ok, _ := p.cfg.Logins.Allow("browser " + k.ID)
	return ok
}
