package uma

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// registration is a registered client at its own endpoint, and the token that
// showed that it is the client itself.
type registration struct {
	id, token string
	rec       clientRecord
	doc       store.Doc
}

// serveRegistration is the client configuration endpoint (RFC 7592 §2).
func (s *Server) serveRegistration(w http.ResponseWriter, r *http.Request, id string, from caller) {
	a, err := s.manage(r, id, from)
	if err != nil {
		s.fail(w, err)
		return
	}
	if a.body == nil {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(a.status)
		return
	}
	oauth.WriteJSON(w, a.status, a.body)
}

func (s *Server) manage(r *http.Request, id string, from caller) (answer, error) {
	serve := map[string]func(*http.Request, registration) (answer, error){
		http.MethodGet: s.readClient, http.MethodPut: s.replaceClient, http.MethodDelete: s.deleteClient,
	}[r.Method]
	if serve == nil {
		return answer{}, unsupportedMethod("GET, PUT, DELETE")
	}
	if err := s.limited(limit.Source(from.ip), id); err != nil {
		return answer{}, err
	}
	reg, err := s.authorizeClient(r, id)
	if err != nil {
		return answer{}, err
	}
	return serve(r, reg)
}

// authorizeClient checks the registration access token. A client that does not
// exist is answered like a wrong token (RFC 7592 §2.1).
func (s *Server) authorizeClient(r *http.Request, id string) (registration, error) {
	scheme, token, err := oauth.ParseAuthorization(r.Header)
	if err != nil {
		return registration{}, err
	}
	if scheme == "" {
		return registration{}, registrationError("", "a registration access token is required")
	}
	reg := registration{id: id, token: token}
	if isRegisteredID(id) {
		reg.rec, reg.doc, err = load[clientRecord](r.Context(), s, kindClient, id)
		if err != nil && !absent(err) {
			return registration{}, s.unavailable("client", err)
		}
	}
	if !sameHash(token, reg.rec.Token) || err != nil || scheme != "bearer" || !strings.HasPrefix(token, "rat_") {
		return registration{}, registrationError(oauth.CodeInvalidToken, "the registration access token is not valid for this client")
	}
	return reg, nil
}

func (s *Server) readClient(_ *http.Request, reg registration) (answer, error) {
	body, err := s.clientInformation(reg.id, reg.rec, reg.token, "")
	return answer{status: http.StatusOK, body: body}, err
}

// replaceClient replaces all metadata (RFC 7592 §2.2). The secret stays unless
// the method changes; the registration access token stays.
func (s *Server) replaceClient(r *http.Request, reg registration) (answer, error) {
	body, err := readJSON(r)
	if err != nil {
		return answer{}, err
	}
	metadata, err := parseClientMetadata(body)
	if err != nil {
		return answer{}, err
	}
	if err := reg.checkIdentity(body); err != nil {
		return answer{}, err
	}
	reg.rec.Metadata = metadata
	secret := reg.rec.renewSecret()
	doc, err := s.clientDoc(reg.id, reg.rec)
	if err != nil {
		return answer{}, err
	}
	doc.Rev = reg.doc.Rev
	if err := s.changeClient(r.Context(), store.Swap(doc)); err != nil {
		return answer{}, err
	}
	information, err := s.clientInformation(reg.id, reg.rec, reg.token, secret)
	return answer{status: http.StatusOK, body: information}, err
}

// checkIdentity: a client cannot choose id or secret (RFC 7592 §2.2).
func (reg registration) checkIdentity(body []byte) error {
	var m struct {
		ID     json.RawMessage `json:"client_id"`
		Secret json.RawMessage `json:"client_secret"`
	}
	if err := oauth.DecodeObject(body, &m); err != nil {
		return badMetadata("the metadata cannot be read").Because(err)
	}
	if text, sent := member(m.ID); sent && text != reg.id {
		return badMetadata("client_id is that of another client")
	}
	if text, sent := member(m.Secret); sent && !sameHash(text, reg.rec.Secret) {
		return badMetadata("client_secret is not the one that was issued")
	}
	return nil
}

// member reads a string; "" stands for something else.
func member(raw json.RawMessage) (text string, sent bool) {
	if raw == nil || string(raw) == "null" {
		return "", false
	}
	if err := oauth.DecodeJSON(raw, &text); err != nil {
		return "", true
	}
	return text, true
}

// deleteClient ends a client (RFC 7592 §2.3). What was issued to it dies with it,
// as it is looked up before each use; its RPTs get onto the status lists.
func (s *Server) deleteClient(r *http.Request, reg registration) (answer, error) {
	if err := s.changeClient(r.Context(), store.Delete(reg.doc.Key, reg.doc.Rev)); err != nil {
		return answer{}, err
	}
	s.reviewAnew()
	return answer{status: http.StatusNoContent}, nil
}

// changeClient commits; two changes at once are told from a broken store.
func (s *Server) changeClient(ctx context.Context, op store.Op) error {
	err := s.commit(ctx, op)
	if errors.Is(err, store.ErrConflict) {
		return &oauth.Error{Code: oauth.CodeInvalidRequest, Status: http.StatusConflict, Description: "the client was changed at the same time; read it again"}
	}
	if err != nil {
		return s.unavailable("client", err)
	}
	return nil
}
