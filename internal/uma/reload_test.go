package uma_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// reload gives a bench with another engine on the same store, key files and
// clock: what a reload of the configuration makes. Rings are new, too.
func (b *bench) reload(edits ...func(*uma.Config)) *bench {
	b.t.Helper()
	next := &bench{t: b.t, op: b.op, cfg: b.cfg, faulty: b.faulty, storage: b.storage, now: b.clock()}
	next.cfg.ResourceServers = slices.Clone(b.cfg.ResourceServers)
	next.cfg.Now, next.cfg.Observe = next.clock, next.observe
	for _, edit := range edits {
		edit(&next.cfg)
	}
	next.rings()
	server, err := uma.New(next.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	next.server = server
	return next
}

// rings makes the rings of the issuer on the bench's storage.
func (b *bench) rings() {
	b.t.Helper()
	for purpose, to := range map[string]**jose.Ring{
		"ticket": &b.cfg.TicketKeys, "rpt": &b.cfg.RPTKeys, "subject": &b.cfg.SubjectKeys,
		"grant": &b.cfg.GrantKeys, "introspection": &b.cfg.IntrospectionKeys, "nonce": &b.cfg.NonceKeys, "status": &b.cfg.StatusKeys,
	} {
		var err error
		if *to, err = jose.NewRing(jose.RingConfig{
			Storage: b.storage, Role: "as", Issuer: b.cfg.Issuer, Purpose: purpose, Now: b.clock, Retain: time.Hour,
		}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// request is a call below /uma/ with a JSON body.
func (b *bench) request(method, path, body string, edits ...func(*http.Request)) reply {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, issuer+"/uma/"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, edit := range edits {
		edit(r)
	}
	return b.do(b.server, r)
}

// post sends a form body as it is to the token endpoint of a handler.
func (b *bench) post(h http.Handler, form string) reply {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, issuer+"/uma/token", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(h, r)
}

// get reads a document.
func (b *bench) get(path string) reply {
	b.t.Helper()
	return b.do(b.server, httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, issuer+path, nil))
}
