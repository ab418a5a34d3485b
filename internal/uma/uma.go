package uma

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/seal"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Server is the authorization server of one issuer.
type Server struct {
	cfg     Config
	issuer  *url.URL
	tenant  string
	clients clientauth.Clients
	servers map[string]ResourceServer // by client_id
	tickets *seal.Box
	kept    *seal.Box // what is kept of requesting parties
	// known authenticates clients that somebody here registered, strangers those of
	// metadata documents: what the latter use up is not taken from the former.
	known, strangers *clientauth.Authenticator
	documents        *documents // nil = off
	// denials bound how many denials are kept, in all and per e-mail domain.
	denials, denialsOf *limit.Limiter
	nonces             *dpop.SealedNonces
	proofs             *dpop.Verifier
	full               fullPatterns
	statuses           statuses
	pats               memo[patRecord]
	resources          memo[resourceRecord]
	review             review
	watch              watch
	routes             map[string]route
	base               string // path below which the endpoints stand, with a slash at the end
}

// New checks the configuration and makes a Server. It reads and calls nothing.
func New(cfg Config) (*Server, error) {
	issuer, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, issuer: issuer, tenant: store.Tenant("as", cfg.Issuer),
		clients: clientauth.Clients{}, servers: map[string]ResourceServer{},
		tickets: seal.NewBox(cfg.TicketKeys), kept: seal.NewBox(cfg.GrantKeys),
		denials:   limit.New(deniedInAll, time.Hour, 1, cfg.Now),
		denialsOf: limit.New(deniedPerDomain, time.Hour, 1000, cfg.Now),
		base:      strings.TrimSuffix(issuer.Path, "/") + "/uma/",
		full:      newFullPatterns(),
		watch:     newWatch(cfg.Policies),
	}
	for _, c := range cfg.Clients {
		s.clients[c.ID] = c
	}
	for _, rs := range cfg.ResourceServers {
		s.clients[rs.ID] = clientauth.Client{ID: rs.ID, Credentials: rs.Credentials}
		s.servers[rs.ID] = rs
	}
	if err := s.remember(); err != nil {
		return nil, err
	}
	if err := s.authenticators(); err != nil {
		return nil, err
	}
	s.statuses = statuses{s: s, lists: map[listID]*madeList{}}
	s.mount()
	return s, s.verifyProofs()
}

func (s *Server) remember() (err error) {
	if s.pats, err = newMemo[patRecord](kindPAT); err != nil {
		return err
	}
	s.resources, err = newMemo[resourceRecord](kindResource)
	return err
}

// caller is who a request comes from as far as the transport tells. local is
// the client_id of a resource server of this process (in-process hand-over).
type caller struct {
	ip    string
	local string
}

// route is one endpoint: its methods and what serves it.
type route struct {
	methods string // space-delimited, for Allow
	public  bool   // may be used by pages of other origins
	serve   func(w http.ResponseWriter, r *http.Request, from caller)
}

func (s *Server) mount() {
	document := route{methods: "GET HEAD", public: true, serve: s.serveMetadata}
	s.routes = map[string]route{
		s.base + "token":      {methods: "POST", public: true, serve: s.serveToken},
		s.base + "jwks":       {methods: "GET HEAD", public: true, serve: s.serveJWKS},
		s.base + "permission": {methods: "POST", serve: s.servePermission},
		s.base + "introspect": {methods: "POST", serve: s.serveIntrospect},
		s.base + "revoke":     {methods: "POST", public: true, serve: s.serveRevoke},
	}
	if s.registers() {
		s.routes[s.base+"register"] = route{methods: "POST", serve: s.serveRegister}
	}
	for _, name := range []string{oauth.WellKnownUMA2, oauth.WellKnownOAuth} {
		appended, inserted := oauth.WellKnownPaths(s.issuer, name)
		s.routes[appended], s.routes[inserted] = document, document
	}
}

// Handles tells whether a path belongs to the authorization server.
func (s *Server) Handles(path string) bool {
	_, exact := s.routes[path]
	return exact || strings.HasPrefix(path, s.base)
}

// ServeHTTP answers a request that came over the network.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, caller{ip: s.cfg.ClientIP(r)})
}

// Local gives the handler for a resource server of the same process: it needs
// no secret if it is marked local, and it is not limited by address.
func (s *Server) Local(clientID string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, caller{local: clientID})
	})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, from caller) {
	s.reviewInBackground()
	path := r.URL.Path
	if path == s.base+"resource" || strings.HasPrefix(path, s.base+"resource/") {
		s.serveResource(w, r, strings.Trim(strings.TrimPrefix(path, s.base+"resource"), "/"))
		return
	}
	if id, below := strings.CutPrefix(path, s.base+"register/"); below && s.registers() {
		s.serveRegistration(w, r, id, from)
		return
	}
	to, found := s.routes[path]
	if hour, below := s.statusHour(path); below {
		to, found = s.statusRoute(hour), true
	}
	switch {
	case !found:
		oauth.WriteError(w, &oauth.Error{Code: oauth.CodeNotFound, Status: http.StatusNotFound})
	case to.public && s.preflight(w, r, to.methods):
	case !slices.Contains(strings.Fields(to.methods), r.Method):
		oauth.WriteError(w, unsupportedMethod(strings.ReplaceAll(to.methods, " ", ", ")))
	default:
		to.serve(w, r, from)
	}
}

// preflight lets pages of other origins call a public endpoint, without
// credentials (CONFORMANCE SEC-23), and answers their preflight requests.
func (s *Server) preflight(w http.ResponseWriter, r *http.Request, methods string) (answered bool) {
	if s.cfg.NoCORS || r.Header.Get("Origin") == "" {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After, DPoP-Nonce")
	if r.Method != http.MethodOptions {
		return false
	}
	h.Set("Access-Control-Allow-Methods", strings.ReplaceAll(methods, " ", ", "))
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
	w.WriteHeader(http.StatusNoContent)
	return true
}
