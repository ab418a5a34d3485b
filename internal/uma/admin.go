package uma

import (
	"context"
	"net/http"

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
		{"GET /show/clients", s.adminClients},
		{"GET /show/client", s.adminClient},
		{"GET /show/resource-servers", s.adminServers},
		{"GET /show/resource-server", s.adminServer},
		{"GET /show/resources", s.adminResources},
		{"GET /show/resources/{id}", s.adminResource},
		{"GET /show/grants", s.adminGrants},
		{"GET /show/grants/{id}", s.adminGrant},
		{"POST /show/grants/search", s.adminGrantsOf},
		{"GET /show/decisions", s.adminDecisions},
		{"POST /show/decisions/search", s.adminDecisionsOf},
		{"POST /show/explain", s.adminExplain},
		{"POST /change/domains/accept", s.adminAccept},
		{"POST /change/domains/forget", s.adminForget},
		{"POST /change/block", s.adminBlock},
		{"POST /change/unblock", s.adminUnblock},
		{"POST /change/clients/revoke", s.adminRevokeClient},
		{"POST /change/resources/revoke", s.adminRevokeResource},
		{"POST /change/grants/revoke", s.adminRevokeGrants},
	}
}

// Admin gives the handler for administrators. It asks nobody who he is: whoever
// mounts it does. Answers and errors are JSON, of the form of OAuth's.
//
//	GET  /show/domains?after=DOMAIN&limit=N  the ledger, in the order of the domains
//	GET  /show/domains/DOMAIN
//	GET  /show/decisions/ID                  why it was decided so
//	GET  /show/blocks?after=NEXT&limit=N     who is blocked
//	GET  /show/clients?after=NEXT&limit=N    configured, registered and known by their documents
//	GET  /show/client?client_id=ID
//	GET  /show/resource-servers?after=ID&limit=N
//	GET  /show/resource-server?client_id=ID
//	GET  /show/resources?resource_server=ID&owner=O&after=NEXT&limit=N
//	GET  /show/resources/ID
//	GET  /show/grants?…                      the members of a grantFilter; who lives, unless all=true
//	POST /show/grants/search                 a grantFilter, also with a person
//	GET  /show/grants/ID
//	GET  /show/decisions?…                   the members of a decisionFilter; newest first
//	POST /show/decisions/search              a decisionFilter, also with a person
//	POST /show/explain                       a Question
//	POST /change/domains/accept  {"domain": D, "issuer": I}
//	POST /change/domains/forget  {"domain": D}
//	POST /change/block           {"who": W, "for": SECONDS, "reason": T}
//	POST /change/unblock         {"who": W}
//	POST /change/clients/revoke    {"client_id": ID}
//	POST /change/resources/revoke  {"resource_id": ID}
//	POST /change/grants/revoke     {"grant_id": ID} or a grantFilter
//
// What names a person is in a body: URLs get into the log of the admin endpoint.
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
