package rs_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// TestOA_13_FirstAskerLeaves: the question of one who goes away is answered for the
// others who wait with the same token.
func TestOA_13_FirstAskerLeaves(t *testing.T) {
	w := newAsking(t)
	token := w.opaque("x")
	asked, goOn := make(chan struct{}), make(chan struct{})
	always := w.cfg.AS
	w.cfg.AS = func(c rs.Call, r *http.Request) (*http.Response, error) {
		if c == rs.CallIntrospection {
			close(asked)
			<-goOn
		}
		return always(c, r)
	}
	w.cfg.Observe = nil
	w.restart()
	w.status("GET", "")
	ctx, leave := context.WithCancel(t.Context())
	first, second := make(chan bool), make(chan bool)
	try := func(ctx context.Context, passes chan bool) {
		g, _ := w.rs.Check(request(t, "GET", token).WithContext(ctx), rs.Target{Index: 0, Source: "s"})
		passes <- g != nil
	}
	go try(ctx, first)
	<-asked
	go try(t.Context(), second)
	leave()
	if <-first {
		t.Error("who left passes")
	}
	close(goOn)
	if !<-second {
		t.Error("the second one does not pass")
	}
}
