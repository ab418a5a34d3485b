package op

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// adminRoute is one thing that an administrator may look at or change. Its pattern
// (net/http) begins with /show/ or /change/, whatever the method is, so that
// permissions can tell looking from changing.
type adminRoute struct {
	pattern string
	serve   func(ctx context.Context, r *http.Request) (any, error)
}

func (p *Provider) adminRoutes() []adminRoute {
	return []adminRoute{
		{"GET /show/sessions", p.adminSessions},
		{"GET /show/sessions/{id}", p.adminSession},
		{"POST /show/sessions/search", p.adminSessionsOf},
		{"POST /change/sessions/revoke", p.adminRevoke},
	}
}

// Admin gives the handler for administrators. It asks nobody who he is: whoever
// mounts it does. Answers and errors are JSON, of the form of OAuth's.
//
//	GET  /show/sessions?after=NEXT&limit=N
//	GET  /show/sessions/ID
//	POST /show/sessions/search    {"user": EMAIL, "after": NEXT, "limit": N}
//	POST /change/sessions/revoke  {"session_id": ID} or {"user": EMAIL}
//
// An address is in a body: URLs get into the log of the admin endpoint.
func (p *Provider) Admin() http.Handler {
	mux := http.NewServeMux()
	for _, route := range p.adminRoutes() {
		mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := route.serve(r.Context(), r)
			if err != nil {
				oauth.WriteError(w, err)
				return
			}
			oauth.WriteJSON(w, http.StatusOK, answer)
		})
	}
	return mux
}

// Bounds of a page, and of what is read.
const (
	defaultPage = 100
	maxPage     = 1000
	maxCommand  = 64 << 10
)

// ask says which page is wanted.
type ask struct {
	After string `json:"after"`
	Limit int    `json:"limit"`
}

func (a *ask) check() error {
	if a.Limit == 0 {
		a.Limit = defaultPage
	}
	if a.Limit < 1 || a.Limit > maxPage {
		return oauth.Errorf(oauth.CodeInvalidRequest, "limit must be a number from 1 to %d", maxPage)
	}
	kind, id, found := strings.Cut(a.After, ".")
	if a.After != "" && (!found || kind != kindSession && kind != kindGrant || id != "" && !isSecret(id)) {
		return oauth.Errorf(oauth.CodeInvalidRequest, "after must be the member next of the page before")
	}
	return nil
}

func readAsk(r *http.Request) (a ask, err error) {
	q := r.URL.Query()
	a.After = q.Get("after")
	if text := q.Get("limit"); text != "" {
		if a.Limit, err = strconv.Atoi(text); err != nil || a.Limit == 0 {
			a.Limit = -1
		}
	}
	return a, a.check()
}

func notFound(text string) error {
	return &oauth.Error{Code: oauth.CodeNotFound, Status: http.StatusNotFound, Description: text}
}

// administered completes an event.
func (p *Provider) administered(ctx context.Context, e event.Administration) {
	e.Role, e.Issuer = "sts", p.cfg.Issuer
	p.cfg.Observe(ctx, e)
}
