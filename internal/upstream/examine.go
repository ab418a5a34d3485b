package upstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Steps on the way to a provider, as people read them.
const (
	StepMetadata    = "metadata"
	StepKeys        = "keys"
	StepCredentials = "introspection"
)

// Examined is how it stands with a provider.
type Examined struct {
	Issuer string
	// Step is where it went wrong; "" = nowhere. Err says how.
	Step string
	Err  error
	// Unanswered: there was no whole answer.
	Unanswered bool
	// Status is that of an answer of no use; 0 = there is none.
	Status int
	// Theirs is the issuer that the provider has, if it is another one.
	Theirs string
	// Date is the time of the provider; zero = it tells none.
	Date time.Time
	// At is when it told that, by our clock: the steps after it may take their time.
	At time.Time
}

// issuerError is metadata that speaks for another one.
type issuerError struct{ theirs string }

// Error implements error.
func (e *issuerError) Error() string { return fmt.Sprintf("it says the issuer is %q", e.theirs) }

// Examine goes the way to the provider anew, whatever is remembered: its metadata,
// then its keys, or the introspection of a token that nobody has issued. It changes
// nothing of what requests go by.
func (u *Upstream) Examine(ctx context.Context) Examined {
	x := Examined{Issuer: u.cfg.Issuer}
	if u.cfg.Check == checkTokeninfo {
		return x // its endpoint is Google's, and a question needs a token
	}
	doc := new(document)
	a, err := u.examine(ctx, u.metadataURL(), maxAnswer)
	x.At, x.Date = u.cfg.Now(), oauth.AnsweredAt(a.header)
	if err == nil {
		if err = oauth.DecodeObject(a.body, doc); err == nil {
			err = u.checkDocument(doc)
		}
	}
	if err != nil {
		return x.failed(StepMetadata, a, err)
	}
	if u.cfg.Check == CheckJWT {
		if a, err = u.examineKeys(ctx, doc.JWKSURI); err != nil {
			return x.failed(StepKeys, a, err)
		}
	}
	if u.cfg.Check == CheckIntrospection {
		if a, err = u.examineCredentials(ctx, doc.IntrospectionEndpoint); err != nil {
			return x.failed(StepCredentials, a, err)
		}
	}
	return x
}

func (x Examined) failed(step string, a answer, err error) Examined {
	x.Step, x.Err, x.Status = step, err, a.status
	x.Unanswered = a.status == 0 && !errors.Is(err, errLarge)
	if other, ok := errors.AsType[*issuerError](err); ok {
		x.Theirs = other.theirs
	}
	return x
}

// examine fetches a document.
func (u *Upstream) examine(ctx context.Context, uri string, limit int64) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return answer{}, err
	}
	a, _, err := u.ask(r, limit)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("%w %d", errStatus, a.status)
	}
	return a, err
}

func (u *Upstream) examineKeys(ctx context.Context, uri string) (answer, error) {
	a, err := u.examine(ctx, uri, maxKeys)
	if err != nil {
		return a, err
	}
	keys, err := jose.ParseJWKS(a.body)
	if err == nil && len(keys) == 0 {
		err = errors.New("none of its keys can verify a token")
	}
	return a, err
}

// examineCredentials asks about a token that nobody has issued: who may ask is told
// that it is not active (RFC 7662 §2.2).
func (u *Upstream) examineCredentials(ctx context.Context, endpoint string) (answer, error) {
	r, err := u.introspection(ctx, endpoint, rand.Text())
	if err != nil {
		return answer{}, err
	}
	a, _, err := u.ask(r, maxAnswer)
	if err != nil {
		return a, err
	}
	if err := a.check(); err != nil {
		return a, err
	}
	if _, err = active(a.body); errors.Is(err, oauth.ErrSubjectToken) {
		return a, nil
	}
	if err == nil {
		err = errors.New("it says that a token is active which nobody has issued")
	}
	return a, err
}
