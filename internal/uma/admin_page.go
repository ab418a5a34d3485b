package uma

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Bounds of a page.
const (
	defaultPage = 100
	maxPage     = 1000
	// maxLooked is how many documents are looked at for one page: one that finds
	// little ends before it is full.
	maxLooked = 5000
	// pageStep is how many documents are read at once.
	pageStep = 250
)

// ask says which page is wanted.
type ask struct {
	After string `json:"after"`
	Limit int    `json:"limit"`
}

// checkPage fills in the default and holds what the store takes.
func (a *ask) checkPage() error {
	defaultTo(&a.Limit, defaultPage)
	switch {
	case a.Limit < 1 || a.Limit > maxPage:
		return oauth.Errorf(oauth.CodeInvalidRequest, "limit must be a number from 1 to %d", maxPage)
	case !isKey(a.After):
		return oauth.Errorf(oauth.CodeInvalidRequest, "after must be the member next of the page before")
	}
	return nil
}

// isKey accepts what can be part of a key of every store: PostgreSQL takes UTF-8 alone.
func isKey(text string) bool {
	return len(text) <= maxText && strings.IndexByte(text, 0) < 0 && utf8.ValidString(text)
}

// pageSize reads the parameter limit of a list that takes no others.
func pageSize(r *http.Request) (int, error) {
	if err := onlyParams(r); err != nil {
		return 0, err
	}
	a, err := readAsk(r)
	return a.Limit, err
}

// readAsk reads the parameters after and limit.
func readAsk(r *http.Request) (a ask, err error) {
	q := r.URL.Query()
	a.After = q.Get("after")
	if text := q.Get("limit"); text != "" {
		if a.Limit, err = strconv.Atoi(text); err != nil || a.Limit == 0 {
			a.Limit = -1
		}
	}
	return a, a.checkPage()
}

// onlyParams refuses parameters besides these: one that is spelt wrong would list
// more than was asked for.
func onlyParams(r *http.Request, known ...string) error {
	return oauth.OnlyParams(r, append(known, "after", "limit", "issuer")...)
}

// readAdmin reads the JSON body of a question or a change. A member that is not known,
// such as one that is spelt wrong, would change what is meant: {"isuer": ...} would
// accept the issuer that came last.
func readAdmin(r *http.Request, v any) error {
	if err := oauth.OnlyParams(r, "issuer"); err != nil {
		return err
	}
	body, err := readJSON(r)
	if err != nil {
		return err
	}
	if err := oauth.DecodeCommand(body, v); err != nil {
		return oauth.Errorf(oauth.CodeInvalidRequest, "the body is not acceptable JSON, or has a member that is empty or not known here").Because(err)
	}
	return nil
}

// walk shows documents of a kind to take, which tells whether one goes onto the
// page. next is what to ask for the page after, "" at the end.
func (s *Server) walk(ctx context.Context, kind, index string, a ask, take func(store.Doc) (bool, error)) (next string, err error) {
	for looked := 0; ; {
		docs, err := s.cfg.Store.List(ctx, s.tenant, kind, index, a.After, pageStep)
		if err != nil {
			return "", s.unavailable(kind, err)
		}
		for i, doc := range docs {
			taken, err := take(doc)
			if err != nil {
				return "", err
			}
			if taken {
				a.Limit--
			}
			looked++
			last := i == len(docs)-1 && len(docs) < pageStep
			if (a.Limit == 0 || looked == maxLooked) && !last {
				return doc.ID, nil
			}
			a.After = doc.ID
		}
		if len(docs) < pageStep {
			return "", nil
		}
	}
}

// count is how many documents of a kind fit; with more there may be further ones.
type count struct {
	N    int
	More bool
}

// countThose looks at no more than maxLooked.
func (s *Server) countThose(ctx context.Context, kind, index string, fits func(store.Doc) (bool, error)) (c count, err error) {
	next, err := s.walk(ctx, kind, index, ask{Limit: maxLooked + 1}, func(doc store.Doc) (bool, error) {
		fit, err := fits(doc)
		if fit {
			c.N++
		}
		return fit, err
	})
	c.More = next != ""
	return c, err
}

// administered completes an event.
func (s *Server) administered(ctx context.Context, e event.Administration) {
	e.Role, e.Issuer = "as", s.cfg.Issuer
	s.cfg.Observe(ctx, e)
}

// isID tells whether a text has the form of what randomText makes of 16 bytes. Others
// name nothing, and need not be looked up.
func isID(text string) bool {
	raw, err := oauth.DecodeBase64(text)
	return err == nil && len(raw) == idBytes
}

func notFound(text string) error {
	return &oauth.Error{Code: oauth.CodeNotFound, Status: http.StatusNotFound, Description: text}
}
