package discovery

import (
	"context"
	"net/http"
	"net/url"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// maxKeys is the largest key set, in bytes.
const maxKeys = 256 << 10

// fetch asks the network, within the budget of the host's domain.
func (f *Finder) fetch(ctx context.Context, rule Domain, r outbound.Request) (*outbound.Response, error) {
	r.NoExceptions = !f.rules.excepted(rule, r.URL)
	return f.get(ctx, r)
}

func (f *Finder) get(ctx context.Context, r outbound.Request) (*outbound.Response, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, final("not a URL", forWrong)
	}
	done, err := f.budget.take(ctx, u.Hostname())
	if err != nil {
		return nil, temporary("too many look-ups at once", 0).because(err)
	}
	defer done()
	resp, err := f.cfg.Client.Get(ctx, r)
	if err != nil {
		return nil, unanswered(err)
	}
	return resp, nil
}

// newKeys makes the cache of key sets; own is for those on the host:port of an
// entry's base URL, which at chooses.
func (f *Finder) newKeys(own bool) *jose.Cache {
	return jose.NewCache(jose.CacheConfig{
		MaxAge: f.cfg.MaxAge,
		Pause:  f.cfg.RefetchPause,
		Size:   f.cfg.Size,
		Now:    f.cfg.Now,

		FailurePause: keepKeys,
		Fetch: func(ctx context.Context, uri string) ([]byte, error) {
			ctx, cancel := context.WithTimeout(ctx, lookupTime)
			defer cancel()
			return f.fetchKeys(ctx, uri, own)
		},
	})
}

func (f *Finder) fetchKeys(ctx context.Context, uri string, own bool) ([]byte, error) {
	resp, err := f.get(ctx, outbound.Request{
		URL:          uri,
		Accept:       "application/jwk-set+json, application/json",
		MaxBody:      maxKeys,
		NoExceptions: !own,
	})
	switch {
	case err != nil:
		return nil, err
	case resp.Status != http.StatusOK:
		return nil, temporary("the key set is unavailable", forStatus)
	}
	return resp.Body, nil
}
