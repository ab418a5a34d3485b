package health

import (
	"context"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Handler is the module http.handlers.uma_health: it tells a load balancer whether
// this node is of use, 200 or 503, and says in JSON what was looked at. It answers
// every request that reaches it, over plain HTTP too: put it on a private port, or
// behind a matcher. GET and HEAD only. It names no address and no cause; causes are
// logged once when they change.
//
// While Caddy waits for `shutdown_delay` to pass the answer is 503, so that the
// balancer takes the node out before its connections end.
type Handler struct {
	// Fail are further checks that make the node unhealthy (503) when they fail: of
	// store, keys, nodes, policies, authorization_server, status_list. The first
	// three do by default.
	Fail []string `json:"fail,omitempty"`
	// Warn are checks that are only reported when they fail. Default: the last three.
	Warn []string `json:"warn,omitempty"`
	// Details names the issuers and clients. Default: each check stands in the answer
	// once.
	Details bool `json:"details,omitempty"`

	of Source
}

// CaddyModule implements caddy.Module.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.uma_health", New: func() caddy.Module { return new(Handler) }}
}

// Provision implements caddy.Provisioner.
func (h *Handler) Provision(ctx caddy.Context) error {
	if err := h.check(); err != nil {
		return err
	}
	app, err := ctx.App("uma")
	if err != nil {
		return err
	}
	h.For(app.(Source))
	return nil
}

// Source is whose health is told: the app `uma`.
type Source interface {
	Health(context.Context) ([]Result, error)
}

// For sets whose health is told.
func (h *Handler) For(s Source) { h.of = s }

// Values of a status, those of draft-inadarei-api-health-check.
const (
	statusPass = "pass"
	statusWarn = "warn"
	statusFail = "fail"
)

// report is what is told.
type report struct {
	Status string       `json:"status"`
	Reason string       `json:"reason,omitempty"`
	Checks []reportLine `json:"checks"`
}

type reportLine struct {
	Check    string `json:"check"`
	Role     string `json:"role,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Status   string `json:"status"`
	Reason   string `json:"reason,omitempty"`
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return nil
	}
	answer := report{Status: statusFail, Reason: "this node is shutting down", Checks: []reportLine{}}
	if !shuttingDown(r) {
		results, err := h.of.Health(r.Context())
		if err != nil { // the client has gone
			return nil //nolint:nilerr // nobody is left to tell
		}
		answer = h.answer(results)
	}
	status := http.StatusOK
	if answer.Status == statusFail {
		status = http.StatusServiceUnavailable
	}
	oauth.WriteJSON(w, status, answer)
	return nil
}

// shuttingDown asks Caddy, whose servers go on for shutdown_delay.
func shuttingDown(r *http.Request) bool {
	if caddy.Exiting() {
		return true
	}
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return false
	}
	v, _ := repl.Get("http.shutting_down")
	down, _ := v.(bool)
	return down
}

func (h *Handler) answer(results []Result) report {
	a := report{Status: statusPass, Checks: []reportLine{}}
	for _, r := range results {
		line := reportLine{Check: r.Name, Status: h.status(r)}
		if r.Trouble != nil {
			line.Reason = r.Trouble.Reason
		}
		if h.Details {
			line.Role, line.Issuer, line.ClientID = r.Role, r.Issuer, r.ClientID
		}
		a.add(line, h.Details)
	}
	return a
}

// add adds a line, or else the worst one of each check stays.
func (a *report) add(line reportLine, all bool) {
	a.Status = worse(a.Status, line.Status)
	last := len(a.Checks) - 1
	switch {
	case all || last < 0 || a.Checks[last].Check != line.Check:
		a.Checks = append(a.Checks, line)
	case a.Checks[last].Status != worse(a.Checks[last].Status, line.Status):
		a.Checks[last] = line
	}
}

func (h *Handler) status(r Result) string {
	switch {
	case r.Trouble == nil:
		return statusPass
	case r.Trouble.Mild || !h.fails(r.Name):
		return statusWarn
	}
	return statusFail
}

func (h *Handler) fails(name string) bool {
	if slices.Contains(h.Fail, name) {
		return true
	}
	return words[place(name)].fails && !slices.Contains(h.Warn, name)
}

func worse(a, b string) string {
	order := []string{statusPass, statusWarn, statusFail}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
