package rs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Step is a step on the way to the authorization server.
type Step string

// Steps, in their order.
const (
	StepMetadata  Step = "metadata"
	StepKeys      Step = "keys"
	StepPAT       Step = "pat"
	StepURI       Step = "resource_uri"
	StepResources Step = "resources"
)

// Examined is how a step went.
type Examined struct {
	Step Step
	// Err is nil if it went well.
	Err error
	// Unanswered: there was no whole answer.
	Unanswered bool
	// Status and Code are those of an answer that is of no use; 0 = there is none.
	Status int
	Code   string
	// Ours and Theirs are what both sides must write alike, and do not.
	Ours, Theirs string
	// Names are the resources that are not accepted.
	Names []string
	// Date is the time of the authorization server; zero = it tells none.
	Date time.Time
	// At is when it told that, by our clock: the steps after it may take their time.
	At time.Time
}

// mismatchError is what both sides must write alike, and do not.
type mismatchError struct {
	what, ours, theirs string
}

// Error implements error.
func (m *mismatchError) Error() string { return m.what }

// Leeway is what clocks may differ by.
func (s *Server) Leeway() time.Duration { return s.cfg.Leeway }

// Examine goes the way to the authorization server anew, whatever is remembered, and
// tells of each step. It ends at the first one without which there is no next. It asks
// what requests ask, too, and changes nothing of what they go by; resources are
// registered if they are not yet.
func (s *Server) Examine(ctx context.Context) []Examined {
	e, a, err := s.fetchEndpoints(ctx)
	first := examined(StepMetadata, err)
	if a != nil {
		first.At, first.Date = s.cfg.Now(), oauth.AnsweredAt(a.header)
	}
	all := []Examined{first}
	if err != nil {
		return all
	}
	all = append(all, examined(StepKeys, s.examineKeys(ctx, e)))
	learned, err := s.examinePAT(ctx, e)
	if all = append(all, examined(StepPAT, err)); err != nil {
		return all
	}
	_, err = s.learn(learned)
	if all = append(all, examined(StepURI, err)); err != nil {
		return all
	}
	return append(all, s.ExamineResources(ctx))
}

func examined(step Step, err error) Examined {
	x := Examined{Step: step, Err: err}
	if status, ok := errors.AsType[*statusError](err); ok {
		x.Status, x.Code = status.status, status.code
	}
	_, x.Unanswered = errors.AsType[*answerError](err)
	if differ, ok := errors.AsType[*mismatchError](err); ok {
		x.Ours, x.Theirs = differ.ours, differ.theirs
	}
	return x
}

// examineKeys: without keys no RPT can be checked.
func (s *Server) examineKeys(ctx context.Context, e endpoints) error {
	text, err := s.fetchKeys(ctx, e.keys)
	if err != nil {
		return err
	}
	keys, err := jose.ParseJWKS(text)
	if err != nil {
		return fmt.Errorf("reading keys: %w", err)
	}
	if keys.Named() == 0 {
		return errors.New("reading keys: none can verify a token")
	}
	return nil
}

// examinePAT gets a PAT and does not use it.
func (s *Server) examinePAT(ctx context.Context, e endpoints) (*oauth.TokenResponse, error) {
	a, err := s.askPAT(ctx, e)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, a.failure("asking for a PAT")
	}
	return parsePAT(a.body)
}

// ExamineResources looks at the last step alone, and asks at most what the next request
// would ask.
func (s *Server) ExamineResources(ctx context.Context) Examined {
	r, err := s.currentRegistration(ctx)
	if err == nil {
		err = r.err
	}
	x := examined(StepResources, err)
	for i, id := range r.ids {
		if id == "" {
			x.Names = append(x.Names, s.resources[i].Name)
		}
	}
	return x
}
