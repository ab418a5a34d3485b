package uma

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func (s *Server) adminDecision(ctx context.Context, r *http.Request) (any, error) {
	e, err := s.ExplainDecision(ctx, r.PathValue("id"))
	if absent(err) {
		return nil, &oauth.Error{
			Code: oauth.CodeNotFound, Status: http.StatusNotFound,
			Description: "no such decision is kept: they are kept for seven days or more, and only if somebody was identified; " +
				"why others were sent away says the line 'decision' with this decision_id in the log",
		}
	}
	if err != nil {
		return nil, s.unavailable("decision", err)
	}
	return e, nil
}

func (s *Server) adminExplain(ctx context.Context, r *http.Request) (any, error) {
	var ask Question
	if err := readAdmin(r, &ask); err != nil {
		return nil, err
	}
	e, err := s.Explain(ctx, ask)
	if errors.Is(err, ErrQuestion) {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "%s", err.Error())
	}
	if err != nil {
		return nil, s.unavailable("explanation", err)
	}
	return e, nil
}
