package discovery

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// maxKeys is the largest key set, in bytes.
const maxKeys = 256 << 10

// queueTime is how long a request may wait for its place.
const queueTime = 5 * time.Second

// fetch asks the network under the rules for these people.
func (f *Finder) fetch(ctx context.Context, in *segment, rule Domain, ask string, r outbound.Request) (*outbound.Response, error) {
	r.NoExceptions = !f.rules.excepted(rule, r.URL)
	return f.get(ctx, in, ask, r)
}

// get asks the network within the budgets of a segment. The request has the
// client's whole time, however long it waited and whatever was asked before: else
// a slow host could make us give up on the next one, and hold that against it.
func (f *Finder) get(ctx context.Context, in *segment, ask string, r outbound.Request) (*outbound.Response, error) {
	ctx = context.WithoutCancel(ctx)
	queue, cancel := context.WithTimeout(ctx, queueTime)
	defer cancel()
	done, err := in.budget.take(queue, hostOf(r.URL))
	if err != nil {
		return nil, temporary("too many look-ups at once", 0).because(err)
	}
	defer done()
	r.Admit = in.dial
	answered := f.examined.watch(ask, &r, f.cfg.Now)
	resp, err := f.cfg.Client.Get(ctx, r)
	answered(resp, err)
	if err != nil {
		return nil, unanswered(err)
	}
	return resp, nil
}

// hostOf is the name for the budgets; what is no URL has one as well, and goes no
// further than to the client.
func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// keysAt is the cache for a key set: what is fetched under an exception serves
// nobody else.
func (f *Finder) keysAt(rule Domain, uri string) *jose.Cache {
	if f.rules.excepted(rule, uri) {
		return f.ownKeys
	}
	return f.keys
}

// keySet is a key set for one caller: what he makes us fetch is counted for him.
func (f *Finder) keySet(rule Domain, uri string, q Query) jose.KeySet {
	cache := f.keysAt(rule, uri)
	return cache.KeysIf(uri, func() error {
		return f.segmentOf(cache.Kept(uri)).admit(q.Source, hostOf(uri))
	})
}

// newKeys makes the cache of key sets; own is for those on the host:port of an
// entry's base URL.
func (f *Finder) newKeys(own bool) *jose.Cache {
	var cache *jose.Cache
	cache = jose.NewCache(jose.CacheConfig{
		MaxAge: f.cfg.MaxAge,
		Pause:  f.cfg.RefetchPause,
		Size:   f.cfg.Size,
		Now:    f.cfg.Now,

		FailurePause: keepKeys,
		Failed: func(uri string, err error) {
			f.cfg.Log.Warn("the keys of a provider cannot be read",
				zap.String("domain", registrable(hostOf(uri))), zap.String("reason", err.Error()))
		},
		Fetch: func(ctx context.Context, uri string) ([]byte, error) {
			return f.fetchKeys(ctx, f.segmentOf(cache.Kept(uri)), uri, own)
		},
	})
	return cache
}

func (f *Finder) fetchKeys(ctx context.Context, in *segment, uri string, own bool) ([]byte, error) {
	resp, err := f.get(ctx, in, AskKeys, outbound.Request{
		URL:          uri,
		Accept:       "application/jwk-set+json, application/json",
		MaxBody:      maxKeys,
		NoExceptions: !own,
	})
	switch {
	case err != nil:
		f.debug("key set not fetched", registrable(hostOf(uri)), err)
		return nil, bare(err)
	case resp.Status != http.StatusOK:
		return nil, temporary("the key set is unavailable", forStatus)
	}
	return resp.Body, nil
}
