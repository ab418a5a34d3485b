package umaapp

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Health is the module http.handlers.uma_health: it tells a load balancer whether
// this node is of use, 200 or 503, and says in JSON what was looked at. It answers
// every request that reaches it, over plain HTTP too: put it on a private port, or
// behind a matcher. GET and HEAD only. It names no address and no cause; causes are
// logged once when they change.
//
// While Caddy waits for `shutdown_delay` to pass the answer is 503, so that the
// balancer takes the node out before its connections end.
type Health struct {
	// Fail are further checks that make the node unhealthy (503) when they fail: of
	// store, keys, nodes, policies, authorization_server, status_list. The first
	// three do by default.
	Fail []string `json:"fail,omitempty"`
	// Warn are checks that are only reported when they fail. Default: the last three.
	Warn []string `json:"warn,omitempty"`
	// Details names the issuers and clients. Default: each check stands in the answer
	// once.
	Details bool `json:"details,omitempty"`

	app *App
}

// CaddyModule implements caddy.Module.
func (Health) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.uma_health", New: func() caddy.Module { return new(Health) }}
}

// Provision implements caddy.Provisioner.
func (h *Health) Provision(ctx caddy.Context) (err error) {
	if err := h.check(); err != nil {
		return err
	}
	h.app, err = Get(ctx)
	return err
}

// Values of a status, those of draft-inadarei-api-health-check.
const (
	statusPass = "pass"
	statusWarn = "warn"
	statusFail = "fail"
)

// healthAnswer is what is told.
type healthAnswer struct {
	Status string       `json:"status"`
	Reason string       `json:"reason,omitempty"`
	Checks []healthLine `json:"checks"`
}

type healthLine struct {
	Check    string `json:"check"`
	Role     string `json:"role,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Status   string `json:"status"`
	Reason   string `json:"reason,omitempty"`
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return nil
	}
	answer := healthAnswer{Status: statusFail, Reason: "this node is shutting down", Checks: []healthLine{}}
	if !shuttingDown(r) {
		h.app.health.own.Do(h.app.ownChecks)
		results, err := h.app.health.report(r.Context(), h.app.now, h.app.log)
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

func (h *Health) answer(results []result) healthAnswer {
	a := healthAnswer{Status: statusPass, Checks: []healthLine{}}
	for _, r := range results {
		line := healthLine{Check: r.Name, Status: h.status(r)}
		if r.trouble != nil {
			line.Reason = r.trouble.Reason
		}
		if h.Details {
			line.Role, line.Issuer, line.ClientID = r.Role, r.Issuer, r.ClientID
		}
		a.add(line, h.Details)
	}
	return a
}

// add adds a line, or else the worst one of each check stays.
func (a *healthAnswer) add(line healthLine, all bool) {
	a.Status = worse(a.Status, line.Status)
	last := len(a.Checks) - 1
	switch {
	case all || last < 0 || a.Checks[last].Check != line.Check:
		a.Checks = append(a.Checks, line)
	case a.Checks[last].Status != worse(a.Checks[last].Status, line.Status):
		a.Checks[last] = line
	}
}

func (h *Health) status(r result) string {
	switch {
	case r.trouble == nil:
		return statusPass
	case r.trouble.Mild || !h.fails(r.Name):
		return statusWarn
	}
	return statusFail
}

func (h *Health) fails(name string) bool {
	if slices.Contains(h.Fail, name) {
		return true
	}
	return healthWords[place(name)].fails && !slices.Contains(h.Warn, name)
}

func worse(a, b string) string { return worst([]string{statusPass, statusWarn, statusFail}, a, b) }

// Interface guards.
var (
	_ caddy.Provisioner           = (*Health)(nil)
	_ caddyhttp.MiddlewareHandler = (*Health)(nil)
)
