package uma

import (
	"context"
	"maps"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// serveIntrospect is the introspection endpoint (UMA Fed §5.1, RFC 7662). The
// answer is signed for who asks for that (RFC 9701).
func (s *Server) serveIntrospect(w http.ResponseWriter, r *http.Request, _ caller) {
	as, answer, err := s.introspect(r)
	if err == nil && wantsSigned(r.Header) {
		err = s.writeSigned(w, r, as, answer)
	} else if err == nil {
		oauth.WriteJSON(w, http.StatusOK, answer)
	}
	if err != nil {
		s.fail(w, err)
	}
}

// introspect describes a token to a resource server. Who may ask is shown by the
// PAT alone (CONFORMANCE A36). A token_type_hint is not needed: what a text is can
// be told by its form (RFC 7662 §2.1).
func (s *Server) introspect(r *http.Request) (protected, map[string]any, error) {
	as, err := s.authorize(r)
	if err != nil {
		return as, nil, err
	}
	form, err := oauth.ParseForm(r, oauth.MaxForm)
	if err != nil {
		return as, nil, err
	}
	token := form.Get("token")
	if token == "" {
		return as, nil, oauth.Errorf(oauth.CodeInvalidRequest, "token is missing")
	}
	var answer map[string]any
	err = s.again(func() (err error) {
		answer, err = s.describeTo(r.Context(), as, token)
		return err
	})
	if answer == nil { // RFC 7662 §2.2: and nothing else
		answer = map[string]any{"active": false}
	}
	return as, answer, err
}

// describeTo gives the description of an RPT that opens something at this resource
// server at this moment; nil for everything else.
func (s *Server) describeTo(ctx context.Context, as protected, token string) (map[string]any, error) {
	f, found, err := s.findRPT(ctx, token)
	if err != nil || !found || !f.rpt.good(s.cfg.Now()) || !as.owns(f.resource()) || !f.rec.Confirm.meets(as.rs.Require) {
		return nil, err
	}
	if found, err = s.clientExists(ctx, f.rec.Client); err != nil || !found {
		return nil, err
	}
	if granted, err := s.stillGranted(ctx, f.grant); err != nil || !granted {
		return nil, err
	}
	what, err := s.existing(ctx, f.rec, narrow(f.rec.Permissions, f.rpt.Scopes))
	if err != nil || len(what) == 0 {
		return nil, err
	}
	answer, known, err := s.releasedIn(ctx, f)
	if err != nil || !known {
		return nil, err
	}
	maps.Copy(answer, s.describe(f.grant, f.rpt, what))
	answer["active"], answer["token_type"] = true, f.rec.Confirm.tokenType()
	return answer, nil
}

// resource stands for all resources of a grant: they have one resource server and
// one owner.
func (g *grant) resource() resourceRecord {
	return resourceRecord{ResourceServer: g.rec.ResourceServer, Owner: g.rec.Owner}
}

// releasedIn are the released claims of an RPT: those that a JWT has, for an opaque
// RPT those of its grant.
func (s *Server) releasedIn(ctx context.Context, f *foundRPT) (claims map[string]any, known bool, err error) {
	if f.claims == nil {
		return s.releasedAgain(ctx, f.grant)
	}
	return released(s.servers[f.rec.ResourceServer], &party{Claims: f.claims}), true, nil
}

// clientExists tells whether a client is still registered: what was issued to one
// that is gone is worth nothing.
func (s *Server) clientExists(ctx context.Context, id string) (bool, error) {
	_, err := s.client(ctx, id)
	if isUnknownClient(err) {
		return false, nil
	}
	return err == nil, err
}
