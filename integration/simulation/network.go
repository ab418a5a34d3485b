package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// The bounds of the real client: of a request, and of one hop.
const (
	requestTime = 5 * time.Second
	hopTime     = 3 * time.Second
)

// network stands in for the strict client and the Internet behind it. It answers
// after a time on the clock of the simulation.
type network struct {
	w *world
	*traffic
}

var errSilent = errors.New("no answer to the connection")

// Get implements discovery.Getter, with the errors of the real client.
func (n *network) Get(ctx context.Context, r outbound.Request) (*outbound.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, outbound.ErrBlocked
	}
	defer n.begin(u.Hostname(), time.Now())()
	k := n.w.kindOf(u.Hostname())
	if k == gone {
		return nil, noConnection(sleep(ctx, 50*time.Millisecond), errors.New("no such name"))
	}
	if r.Admit != nil {
		done, err := r.Admit(n.w.address(u.Hostname()))
		if err != nil {
			return nil, noConnection(err)
		}
		defer done()
	}
	return n.answer(ctx, k, u)
}

func (n *network) answer(ctx context.Context, k kind, u *url.URL) (*outbound.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, hopTime)
	defer cancel()
	if k == silent || k == evilSlow {
		<-ctx.Done()
		return nil, noConnection(errSilent)
	}
	if err := sleep(ctx, n.takes(k, u.String())); err != nil {
		return nil, fmt.Errorf("%w: %w", outbound.ErrTemporary, err)
	}
	return n.says(k, u), nil
}

func noConnection(why ...error) error {
	return fmt.Errorf("%w: %w: %w", outbound.ErrTemporary, outbound.ErrConnect, errors.Join(why...))
}

// takes is how long an answer takes, with its look-up of the name, TCP and TLS.
// The median is 120 ms, one in a hundred takes a second.
func (n *network) takes(k kind, name string) time.Duration {
	random := mathrand.New(mathrand.NewPCG(n.w.hash(name), uint64(time.Since(n.w.start)))) //nolint:gosec // a simulation
	d := time.Duration(120 * math.Exp(.9*random.NormFloat64()) * float64(time.Millisecond))
	if k == slow {
		d += 1500 * time.Millisecond
	}
	return max(d, 20*time.Millisecond)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// says is the document at a URL.
func (n *network) says(k kind, u *url.URL) *outbound.Response {
	host := u.Hostname()
	switch {
	case k == nothing, u.Path == "/.well-known/webfinger" && k == document:
		return &outbound.Response{Status: http.StatusNotFound, FinalURL: u.String()}
	case u.Path == "/.well-known/webfinger":
		return ok(u, "application/jrd+json", map[string]any{
			"subject": u.Query().Get("resource"),
			"links":   []any{map[string]any{"rel": "http://openid.net/specs/connect/1.0/issuer", "href": n.w.issuer(host)}},
		})
	case u.Path == "/.well-known/openid-configuration":
		return ok(u, "application/json", configuration("https://"+host))
	case k == evil:
		return n.w.keys.large(u)
	}
	return n.w.keys.of(u, n.w.epoch("https://"+host, time.Now()))
}

func ok(u *url.URL, mediaType string, v any) *outbound.Response {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps and strings
	}
	return &outbound.Response{Status: http.StatusOK, ContentType: mediaType, Body: body, FinalURL: u.String()}
}

func configuration(issuer string) map[string]any {
	return map[string]any{
		"issuer": issuer, "jwks_uri": issuer + "/jwks", "authorization_endpoint": issuer + "/authorize",
		"token_endpoint": issuer + "/token", "subject_types_supported": []string{"public"},
		"response_types_supported": []string{"code"}, "id_token_signing_alg_values_supported": []string{"RS256"},
	}
}

// documents are the key sets. The keys are the same everywhere: only their names
// count here, and their size.
type documents struct{ two, four string }

func newDocuments() documents {
	return documents{two: set(2048, 2), four: set(4096, 4)}
}

// set has n keys, with %d where the number of a key stands. They are keys by their
// size alone: nothing is signed with them, and to find primes takes seconds.
func set(bits, n int) string {
	var keys []string
	for range n {
		modulus := make([]byte, bits/8)
		_, _ = rand.Read(modulus)
		modulus[0] |= 0x80
		modulus[len(modulus)-1] |= 1
		keys = append(keys, `{"kty":"RSA","use":"sig","alg":"RS256","kid":"key-%d","e":"AQAB","n":"`+
			base64.RawURLEncoding.EncodeToString(modulus)+`"}`)
	}
	return `{"keys":[` + strings.Join(keys, ",") + `]}`
}

// of has the key that an issuer signs with and the next one.
func (d documents) of(u *url.URL, epoch int) *outbound.Response {
	return &outbound.Response{Status: http.StatusOK, ContentType: "application/jwk-set+json", Body: fmt.Appendf(nil, d.two, epoch, epoch+1), FinalURL: u.String()}
}

// large is what the attacker has for us: the largest keys that are accepted.
func (d documents) large(u *url.URL) *outbound.Response {
	return &outbound.Response{Status: http.StatusOK, ContentType: "application/jwk-set+json", Body: fmt.Appendf(nil, d.four, 1, 2, 3, 4), FinalURL: u.String()}
}

// traffic counts requests.
type traffic struct {
	mu          sync.Mutex
	counting    bool
	all         int
	inSecond    map[int64]int
	byHost      map[string]int // in the current minute
	minute      int64
	worstHost   string
	worst       int // requests to one host in a minute
	now, atOnce int
}

func newTraffic() *traffic {
	return &traffic{inSecond: map[int64]int{}, byHost: map[string]int{}}
}

func (t *traffic) begin(host string, now time.Time) (end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now++; t.counting {
		t.count(host, now)
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.now--
	}
}

func (t *traffic) count(host string, now time.Time) {
	t.all++
	t.atOnce = max(t.atOnce, t.now)
	t.inSecond[now.Unix()]++
	if m := now.Unix() / 60; m != t.minute {
		t.minute, t.byHost = m, map[string]int{}
	}
	owner := owner(host)
	if t.byHost[owner]++; t.byHost[owner] > t.worst {
		t.worst, t.worstHost = t.byHost[owner], owner
	}
}

// owner is the registered domain of a host in this world: its last two labels.
func owner(host string) string {
	parts := strings.Split(host, ".")
	return strings.Join(parts[max(len(parts)-2, 0):], ".")
}

func (t *traffic) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counting = true
}

// busiest is the most requests in a second.
func (t *traffic) busiest() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := 0
	for _, n := range t.inSecond {
		most = max(most, n)
	}
	return most
}
