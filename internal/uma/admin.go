package uma

import (
	"context"
	"net/http"
	"strconv"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// adminRoute is one thing that an administrator may look at or change. Its
// pattern (net/http) begins with /show/ or /change/, whatever the method is, so
// that permissions can tell looking from changing.
type adminRoute struct {
	pattern string
	serve   func(ctx context.Context, r *http.Request) (any, error)
}

func (s *Server) adminRoutes() []adminRoute {
	return []adminRoute{
		{"GET /show/domains", s.adminDomains},
		{"GET /show/domains/{domain}", s.adminDomain},
		{"GET /show/decisions/{id}", s.adminDecision},
		{"GET /show/blocks", s.adminBlocks},
		{"GET /show/resources", s.adminResources},
		{"POST /show/explain", s.adminExplain},
		{"POST /change/domains/accept", s.adminAccept},
		{"POST /change/domains/forget", s.adminForget},
		{"POST /change/block", s.adminBlock},
		{"POST /change/unblock", s.adminUnblock},
	}
}

// Admin gives the handler for administrators. It asks nobody who he is: whoever
// mounts it does. Answers and errors are JSON, of the form of OAuth's.
//
//	GET  /show/domains?after=DOMAIN&limit=N  the ledger, in the order of the domains
//	GET  /show/domains/DOMAIN
//	GET  /show/decisions/ID                  why it was decided so
//	GET  /show/blocks?after=NEXT&limit=N     who is blocked
//	GET  /show/resources?resource_server=ID&after=NEXT&limit=N
//	POST /show/explain                       a Question
//	POST /change/domains/accept  {"domain": D, "issuer": I}
//	POST /change/domains/forget  {"domain": D}
//	POST /change/block           {"who": W, "for": SECONDS, "reason": T}
//	POST /change/unblock         {"who": W}
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	for _, route := range s.adminRoutes() {
		mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := route.serve(r.Context(), r)
			if err != nil {
				s.fail(w, err)
				return
			}
			oauth.WriteJSON(w, http.StatusOK, answer)
		})
	}
	return mux
}

// readAdmin reads the JSON body of a change.
func readAdmin(r *http.Request, v any) error {
	body, err := readJSON(r)
	if err != nil {
		return err
	}
	if err := oauth.DecodeObject(body, v); err != nil {
		return oauth.Errorf(oauth.CodeInvalidRequest, "the body is not acceptable JSON").Because(err)
	}
	return nil
}

// Bounds of a page.
const (
	defaultPage = 100
	maxPage     = 1000
)

// pageSize reads the parameter limit.
func pageSize(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, oauth.Errorf(oauth.CodeInvalidRequest, "limit must be a number from 1 to %d", maxPage)
	}
	return n, nil
}
