package uma

import (
	"context"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Bounds of what strangers can make us fetch: documents per minute, for one
// source and for all, and how many at once. Documents that were good before are
// renewed outside the second one, so that a flood of new names keeps no client
// from its own.
const (
	newPerSource = 10
	newInAll     = 300
	atOnce       = 16
	keptClients  = 2000
)

// documents are the clients whose client_id is the URL of their metadata. A nil
// documents has none.
type documents struct {
	domains []string
	fetch   func(ctx context.Context, id string) (clientauth.Client, error)
	now     func() time.Time

	// kept is a two-queue cache: what is used again is not pushed out by what is
	// used once.
	kept            *lru.TwoQueueCache[string, document]
	flights         singleflight.Group
	bySource, inAll *limit.Limiter
	// places are for new documents, renewals for those that were good before.
	places, renewals chan struct{}
}

// document is what was found at a URL, or why nothing was.
type document struct {
	client clientauth.Client
	err    error
	until  time.Time
}

func newDocuments(cfg Config, fetch func(context.Context, string) (clientauth.Client, error)) (*documents, error) {
	if cfg.ClientDocuments == nil {
		return nil, nil
	}
	kept, err := lru.New2Q[string, document](keptClients)
	if err != nil {
		return nil, err
	}
	return &documents{
		domains: cfg.ClientDocuments.Domains, fetch: fetch, now: cfg.Now, kept: kept,
		bySource: limit.New(newPerSource, time.Minute, 10_000, cfg.Now),
		inAll:    limit.New(newInAll, time.Minute, 1, cfg.Now),
		places:   make(chan struct{}, atOnce), renewals: make(chan struct{}, atOnce),
	}, nil
}

// covers tells whether an id is the URL of a document that may be read. Nobody is
// asked for one of another domain.
func (d *documents) covers(id string) bool {
	if d == nil {
		return false
	}
	host, ok := parseClientID(id)
	return ok && inDomains(host, d.domains)
}

// client gives the client of a URL. The error is invalid_client if its document
// is not acceptable, 503 if it could not be read, and 429 for a source that asks
// for too many.
//
// Deviation (draft §5.2): it is remembered for up to a minute that there was no
// good document. Otherwise each anonymous request would make us call somebody.
func (d *documents) client(ctx context.Context, id, source string) (clientauth.Client, error) {
	if found, ok := d.find(id); ok {
		return found.client, found.err
	}
	if ok, wait := d.bySource.Allow(source); !ok {
		return clientauth.Client{}, oauth.TooMany(wait)
	}
	// One caller's leaving does not fail the others that wait.
	result, err, _ := d.flights.Do(id, func() (any, error) {
		if found, ok := d.find(id); ok {
			return found.client, found.err
		}
		return d.load(context.WithoutCancel(ctx), id)
	})
	client, _ := result.(clientauth.Client)
	return client, err
}

func (d *documents) find(id string) (document, bool) {
	found, ok := d.kept.Get(id)
	return found, ok && d.now().Before(found.until)
}

func (d *documents) load(ctx context.Context, id string) (clientauth.Client, error) {
	places := d.renewals
	if old, known := d.kept.Peek(id); !known || old.err != nil {
		places = d.places
		if ok, wait := d.inAll.Allow("all"); !ok {
			return clientauth.Client{}, oauth.TooMany(wait)
		}
	}
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	default:
		return clientauth.Client{}, oauth.TooMany(time.Second)
	}
	client, err := d.fetch(ctx, id)
	found := document{client: client, until: d.now().Add(documentLife)}
	if err != nil {
		found = document{err: documentError(err), until: d.now().Add(pauseAfter(err))}
	}
	d.kept.Add(id, found)
	return found.client, found.err
}

// errDocument hides what a stranger's site said.
var errDocument = errors.New("the metadata document of a client could not be read")

func documentError(err error) error {
	if temporary(err) {
		return oauth.Unavailable(errDocument)
	}
	return unknownClient()
}
