package rs

import (
	"context"
	"net/http"
	"strings"

	"go.uber.org/zap"
)

// maxDeletions is how many resources one round deletes: requests wait for it.
const maxDeletions = 100

// maxNamed is how many resources one line of the log names.
const maxNamed = 20

// declared are the descriptions of this configuration.
func (s *Server) declared(l *learned) []*description {
	all := make([]*description, len(s.resources))
	for i := range s.resources {
		all[i] = s.describe(i, l)
	}
	return all
}

// allDeclared are those of all that share the client.
func (s *Server) allDeclared(l *learned) []*description {
	all := s.declared(l)
	for _, o := range s.cfg.Siblings() {
		theirs := *l
		theirs.resource = or(o.cfg.ResourceURI, l.resource)
		all = append(all, o.declared(&theirs)...)
	}
	return all
}

// undeclared are the registered resources that no description stands for. Twins of
// a declared one are not among them.
func undeclared(have, declared []*description) []*description {
	var left []*description
	for _, h := range have {
		if !declares(declared, h) {
			left = append(left, h)
		}
	}
	return left
}

func declares(declared []*description, h *description) bool {
	for _, d := range declared {
		if sameResource(h, d) {
			return true
		}
	}
	return false
}

// clearAway deletes what is registered for this client and not declared any more,
// if the configuration says so, and else names it in the log. It says whether it is
// done with that.
//
// It deletes only until it was done once. A later round is one because resources
// were lost: while a change of the configuration comes to several nodes, one after
// the other, those with the old and those with the new one would delete each
// other's resources, time and again.
func (s *Server) clearAway(ctx context.Context, e endpoints, l *learned, have []*description) (done bool) {
	left := undeclared(have, s.allDeclared(l))
	if len(left) == 0 {
		s.cleared = true
		return true
	}
	if !s.cfg.DeleteUndeclared || s.cleared {
		s.logUndeclared("resources are registered that are not declared (any more); see caddy uma resources diff", left)
		return true
	}
	some := left[:min(len(left), maxDeletions)]
	for _, h := range some {
		if err := s.deleteResource(ctx, e, h.ID); err != nil {
			s.cfg.Log.Warn("deleting a resource that is not declared any more failed", zap.String("client_id", s.cfg.ClientID),
				zap.String("resource_id", h.ID), zap.Error(err))
			return false
		}
	}
	s.logUndeclared("resources were deleted that are not declared any more", some)
	s.cleared = len(some) == len(left)
	return s.cleared
}

// logUndeclared names resources of ours, which we registered ourselves.
func (s *Server) logUndeclared(text string, left []*description) {
	var ids, names []string
	for _, h := range left[:min(len(left), maxNamed)] {
		ids, names = append(ids, h.ID), append(names, strings.ToValidUTF8(h.Name, ""))
	}
	s.cfg.Log.Info(text, zap.String("client_id", s.cfg.ClientID), zap.Int("count", len(left)),
		zap.Strings("resource_id", ids), zap.Strings("resource", names))
}

// deleteResource deletes a resource (UMA Fed §3.2.4). One that is gone already is
// what we want.
func (s *Server) deleteResource(ctx context.Context, e endpoints, id string) error {
	a, err := s.protected(ctx, request{call: CallRegistration, method: http.MethodDelete, url: resourceURL(e, id)})
	if err != nil {
		return err
	}
	switch a.status {
	case http.StatusOK, http.StatusNoContent, http.StatusNotFound:
		return nil
	default:
		return a.failure("deleting a resource")
	}
}
