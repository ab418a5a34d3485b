package discovery_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

func examine(t *testing.T, op *fakeop.OP, email string) discovery.Report {
	t.Helper()
	r, err := discovery.Examine(t.Context(), examined(op), address(t, email))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func examined(op *fakeop.OP) discovery.Config {
	return discovery.Config{Now: time.Now, Client: outbound.NewStrict(outbound.Config{
		ConnectTo: op.ConnectTo(), Roots: op.Roots,
		Resolve: func(_ context.Context, host string) ([]string, error) {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		},
	})}
}

// TestExamine: what is reported is what a look-up asks, in its order, and where
// it ends.
func TestExamine(t *testing.T) {
	tests := []struct {
		name  string
		make  func(op *fakeop.OP)
		asks  []string
		found string // evidence
		err   error
	}{
		{"all well", func(*fakeop.OP) {}, []string{"webfinger", "configuration", "keys"}, discovery.ByWebFinger, nil},
		{"no WebFinger", func(op *fakeop.OP) { op.Misbehave(fakeop.WebFinger, fakeop.Status(404)) }, []string{"webfinger", "configuration", "keys"}, discovery.ByDocument, nil},
		{"WebFinger down", func(op *fakeop.OP) { op.Misbehave(fakeop.WebFinger, fakeop.Status(503)) }, []string{"webfinger"}, "", discovery.ErrTemporary},
		{"wrong issuer", func(op *fakeop.OP) { op.Edit(func(d map[string]any) { d["issuer"] = op.Issuer + "/" }) }, []string{"webfinger", "configuration"}, "", discovery.ErrNoIssuer},
		{"secret key", func(op *fakeop.OP) {
			op.Misbehave("/jwks", fakeop.Raw(200, "application/json", `{"keys":[{"kty":"oct","k":"AA"}]}`))
		}, []string{"webfinger", "configuration", "keys"}, discovery.ByWebFinger, discovery.ErrNoIssuer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			op := fakeop.New(t, fakeop.Config{})
			tt.make(op)
			r := examine(t, op, "bob@bob.example")
			var asks []string
			for i, s := range r.Steps {
				asks = append(asks, s.Ask)
				if last := i == len(r.Steps)-1; s.Response == nil || len(s.Hops) != 1 || s.URL != s.Hops[0].URL || (s.Err != nil) != (last && tt.err != nil) {
					t.Errorf("step %d = %+v", i, s)
				}
			}
			if !slices.Equal(asks, tt.asks) || r.Found.Evidence != tt.found || !errors.Is(r.Err, tt.err) || (r.Err == nil) != (r.Keys.Named() == 1) {
				t.Errorf("asked %v, %+v, %v", asks, r.Found, r.Err)
			}
			if (discovery.Reason(r.Err) == "") != (tt.err == nil) {
				t.Errorf("reason = %q", discovery.Reason(r.Err))
			}
		})
	}
}

func TestExamineWebFinger(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	s, err := discovery.ExamineWebFinger(t.Context(), examined(op), address(t, "b+b@bob.example"))
	if err != nil || s.Ask != discovery.AskWebFinger || s.Response == nil || s.Err != nil || op.Hits("/.well-known/openid-configuration") != 0 {
		t.Errorf("step = %+v, %v", s, err)
	}
	op.Misbehave(fakeop.WebFinger, fakeop.Reset())
	s, err = discovery.ExamineWebFinger(t.Context(), examined(op), address(t, "b+b@bob.example"))
	if err != nil || s.Response != nil || s.Cause == nil || !errors.Is(s.Err, discovery.ErrTemporary) {
		t.Errorf("step = %+v, %v", s, err)
	}
}
