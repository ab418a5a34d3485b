package uma

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// answer is what a protection API call gives: a status and a JSON body.
type answer struct {
	status   int
	body     any
	location string
}

// serveResource is the resource registration endpoint (UMA Fed §3.2). id is the
// last segment of the path, "" for the collection.
func (s *Server) serveResource(w http.ResponseWriter, r *http.Request, id string) {
	a, err := s.resource(r, id)
	if err != nil {
		s.fail(w, err)
		return
	}
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	if a.body == nil {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(a.status)
		return
	}
	oauth.WriteJSON(w, a.status, a.body)
}

func (s *Server) resource(r *http.Request, id string) (answer, error) {
	as, err := s.authorize(r)
	if err != nil {
		return answer{}, err
	}
	ctx := r.Context()
	switch {
	case id == "" && r.Method == http.MethodPost:
		return s.createResource(ctx, r, as)
	case id == "" && r.Method == http.MethodGet:
		return s.listResources(ctx, as)
	case id == "":
		return answer{}, unsupportedMethod("GET, POST")
	case r.Method == http.MethodGet:
		return s.readResource(ctx, as, id)
	case r.Method == http.MethodPut:
		return s.updateResource(ctx, r, as, id)
	case r.Method == http.MethodDelete:
		return s.deleteResource(ctx, as, id)
	default:
		return answer{}, unsupportedMethod("GET, PUT, DELETE")
	}
}

func unsupportedMethod(allow string) *oauth.Error {
	return &oauth.Error{
		Code: oauth.CodeUnsupportedMethod, Status: http.StatusMethodNotAllowed,
		Header: http.Header{"Allow": {allow}},
	}
}

// readJSON reads a JSON body of a protection API call.
func readJSON(r *http.Request) ([]byte, error) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" || len(r.Header.Values("Content-Encoding")) > 0 {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "the Content-Type must be application/json")
	}
	return oauth.ReadBody(r, maxDescription)
}

// describeFor reads the description in a request and settles its owner
// (CONFORMANCE A41): only a resource server with owner * may name one.
func describeFor(r *http.Request, as protected) (resourceRecord, error) {
	body, err := readJSON(r)
	if err != nil {
		return resourceRecord{}, err
	}
	rec, owner, err := parseResource(body)
	if err != nil {
		return rec, err
	}
	rec.ResourceServer, rec.Owner = as.rs.ID, as.owner
	if as.owner == "*" {
		rec.Owner = as.rs.ID
		if owner != "" && owner != "*" {
			rec.Owner = owner
		}
	} else if owner != "" && owner != as.owner {
		return rec, oauth.Errorf(oauth.CodeInvalidRequest, "this resource server must not name another owner")
	}
	return rec, nil
}

func (s *Server) createResource(ctx context.Context, r *http.Request, as protected) (answer, error) {
	rec, err := describeFor(r, as)
	if err != nil {
		return answer{}, err
	}
	id := newID()
	doc, err := s.doc(kindResource, id, rec.ResourceServer, time.Time{}, rec)
	if err != nil {
		return answer{}, err
	}
	if err := s.commit(ctx, store.Create(doc)); err != nil {
		return answer{}, s.unavailable("resource", err)
	}
	return answer{http.StatusCreated, map[string]any{"_id": id}, s.endpoint("resource/" + id)}, nil
}

// listResources gives the ids of this resource server and owner, and no other's
// (UMA Fed §3.2.5).
func (s *Server) listResources(ctx context.Context, as protected) (answer, error) {
	ids := []string{}
	err := s.eachResource(ctx, as.rs.ID, func(id string, rec resourceRecord) bool {
		if as.owns(rec) {
			ids = append(ids, id)
		}
		return true
	})
	return answer{http.StatusOK, ids, ""}, err
}

// eachResource walks the resources of a resource server until f has enough.
func (s *Server) eachResource(ctx context.Context, rs string, f func(id string, rec resourceRecord) bool) error {
	const page = 1000
	for after := ""; ; {
		docs, err := s.cfg.Store.List(ctx, s.tenant, kindResource, rs, after, page)
		if err != nil {
			return s.unavailable("resources", err)
		}
		for _, doc := range docs {
			rec, err := decodeRecord[resourceRecord](doc)
			if err != nil {
				return s.unavailable("resources", err)
			}
			if !f(doc.ID, rec) {
				return nil
			}
			after = doc.ID
		}
		if len(docs) < page {
			return nil
		}
	}
}

// findResource gives a resource of this PAT; another's is as absent as one that
// never was (CONFORMANCE UF-04, UF-13).
func (s *Server) findResource(ctx context.Context, as protected, id string) (resourceRecord, store.Doc, error) {
	unknown := &oauth.Error{Code: oauth.CodeNotFound, Status: http.StatusNotFound, Description: "no such resource"}
	if len(id) != resourceIDLength || strings.IndexByte(id, 0) >= 0 { // the store takes no such key
		return resourceRecord{}, store.Doc{}, unknown
	}
	rec, doc, err := s.resources.load(ctx, s, id)
	if err != nil && !absent(err) {
		return rec, doc, s.unavailable("resource", err)
	}
	if err != nil || !as.owns(rec) {
		return rec, doc, unknown
	}
	return rec, doc, nil
}

func (s *Server) readResource(ctx context.Context, as protected, id string) (answer, error) {
	rec, _, err := s.findResource(ctx, as, id)
	if len(id) == instanceIDLength {
		rec, err = s.findInstance(ctx, as, id)
	}
	if err != nil {
		return answer{}, err
	}
	body := rec.describe(id)
	if as.owner == "*" {
		body["owner"] = rec.Owner
	}
	return answer{http.StatusOK, body, ""}, nil
}

// updateResource replaces the whole description (UMA Fed §3.2.3). The owner
// stays: a resource does not change hands by a PUT.
func (s *Server) updateResource(ctx context.Context, r *http.Request, as protected, id string) (answer, error) {
	old, doc, err := s.findResource(ctx, as, id)
	if err != nil {
		return answer{}, err
	}
	rec, err := describeFor(r, as)
	if err != nil {
		return answer{}, err
	}
	rec.Owner = old.Owner
	next, err := s.doc(kindResource, id, rec.ResourceServer, time.Time{}, rec)
	if err != nil {
		return answer{}, err
	}
	next.Rev = doc.Rev
	if err := s.change(ctx, store.Swap(next)); err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, map[string]any{"_id": id}, ""}, nil
}

func (s *Server) deleteResource(ctx context.Context, as protected, id string) (answer, error) {
	_, doc, err := s.findResource(ctx, as, id)
	if err != nil {
		return answer{}, err
	}
	if err := s.change(ctx, store.Delete(doc.Key, doc.Rev)); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

// change commits; two changes at once are told apart from a broken store.
func (s *Server) change(ctx context.Context, op store.Op) error {
	err := s.commit(ctx, op)
	if errors.Is(err, store.ErrConflict) {
		return &oauth.Error{Code: oauth.CodeInvalidRequest, Status: http.StatusConflict, Description: "the resource was changed at the same time; read it again"}
	}
	if err != nil {
		return s.unavailable("resource", err)
	}
	return nil
}
