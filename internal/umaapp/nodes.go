package umaapp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Nodes are processes that share a store. Each keeps a document there, its
// heartbeat, by which the others learn of it: which keys it uses, and which
// policies since when. Its own random id is that of the process: over a reload it
// stays the same node.
//
// The document belongs to the process and to no issuer, so its tenant has a role of
// its own.
const (
	kindNode      = "node"
	nodeVersion   = 1
	beatEvery     = 10 * time.Second
	beatExpires   = 3 * beatEvery
	maxNodeIssuer = 2000 // of one document
	maxNodes      = 1000
	nodePage      = 100
)

var nodeTenant = store.Tenant("node", "") //nolint:gochecknoglobals // a constant

// nodes is what a configuration knows of the processes.
type nodes struct {
	process     *process
	storeWanted atomic.Bool // a directive of this configuration keeps documents
	beating     background
	behind      atomic.Int64 // issuers of which another node runs newer policies

	gate chan struct{} // holds one token while the document is written
	rev  int64         // guarded by gate

	mu     sync.Mutex
	beaten time.Time
	skewed bool                      // the clocks of node and store differ
	loaded map[tenantName]nodeIssuer // what runs since when
	said   string                    // what of others was logged last

	printed fingerprints
	looking chan struct{} // holds one token while heartbeats are read
	found   neighbours    // below: guarded by looking
	looked  time.Time
}

// tenantName is whose keys or policies they are.
type tenantName struct{ role, issuer string }

// nodeRecord is the body of a heartbeat. Host is for operators.
type nodeRecord struct {
	V       int          `json:"v"`
	Host    string       `json:"host,omitempty"`
	Version string       `json:"version,omitempty"`
	Started time.Time    `json:"started"`
	Beat    time.Time    `json:"beat"`
	Issuers []nodeIssuer `json:"issuers"`

	id string
}

// nodeIssuer is what a node does for one issuer. Keys is the fingerprint of the keys
// it uses, "" if it cannot read any; Loaded is when this policy revision began to
// run there.
type nodeIssuer struct {
	Role     string    `json:"role"`
	Issuer   string    `json:"issuer"`
	Keys     string    `json:"keys,omitempty"`
	Revision string    `json:"policy_revision,omitempty"`
	Loaded   time.Time `json:"loaded,omitzero"`
}

func (i nodeIssuer) name() tenantName { return tenantName{i.Role, i.Issuer} }

// provisionNodes does no I/O: the id is that of an earlier configuration of this
// process, or a new one.
func (a *App) provisionNodes() error {
	p, err := Keep(a, "node", func() *process { return newProcess(a.now()) })
	a.nodes.prepare(p)
	if err != nil {
		return err
	}
	return a.provisionBehind()
}

func (n *nodes) prepare(p *process) {
	n.process, n.gate, n.looking, n.printed.gate = p, make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
}

func (n *nodes) load(revisions map[string]string, before *App, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loaded = map[tenantName]nodeIssuer{}
	for issuer, revision := range revisions {
		i := nodeIssuer{Role: "as", Issuer: issuer, Revision: revision, Loaded: now}
		if before != nil {
			if old := before.nodes.loadedOf(i.name()); old.Revision == revision {
				i.Loaded = old.Loaded
			}
		}
		n.loaded[i.name()] = i
	}
}

func (n *nodes) loadedOf(name tenantName) nodeIssuer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.loaded[name]
}

// policyRevisions are those of the authorization servers, by issuer.
func (a *App) policyRevisions() map[string]string {
	a.registry.mu.RLock()
	defer a.registry.mu.RUnlock()
	revisions := map[string]string{}
	for issuer, e := range a.registry.as {
		if as, ok := e.value.(interface{ PolicyRevision() string }); ok {
			revisions[issuer] = as.PolicyRevision()
		}
	}
	return revisions
}

// record is the heartbeat of this configuration as it stands now.
func (a *App) record(ctx context.Context) nodeRecord {
	ctx, cancel := context.WithTimeout(ctx, printTime)
	defer cancel()
	p := a.nodes.process
	r := nodeRecord{V: nodeVersion, id: p.id, Host: p.host, Version: p.version, Started: p.started, Beat: a.now(), Issuers: []nodeIssuer{}}
	for _, name := range a.tenants() {
		if len(r.Issuers) == maxNodeIssuer {
			break
		}
		i := a.nodes.loadedOf(name)
		i.Role, i.Issuer = name.role, name.issuer
		i.Keys, _ = a.fingerprint(ctx, name) // without it nobody compares; the check says so
		r.Issuers = append(r.Issuers, i)
	}
	return r
}

// tenants are those that have keys here, in order.
func (a *App) tenants() []tenantName {
	var all []tenantName
	for _, r := range a.ringsOf(ringKey{}) {
		all = append(all, tenantName{r.role, r.issuer})
	}
	slices.SortFunc(all, func(x, y tenantName) int {
		return cmp.Or(cmp.Compare(x.issuer, y.issuer), cmp.Compare(x.role, y.role))
	})
	return slices.Compact(all)
}

// beat writes the heartbeat of this process. One at a time: the revision that was
// written last is remembered.
func (a *App) beat(ctx context.Context) error {
	if err := enter(ctx, a.nodes.gate); err != nil {
		return err
	}
	defer exit(a.nodes.gate)
	rec := a.nodes.process.current(a).record(ctx) // the old configuration does not speak for the new one
	body, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	stored, err := a.store.Time(ctx)
	if err != nil {
		return err
	}
	now := a.now()
	doc := store.Doc{Key: nodeKey(rec.id), Rev: a.nodes.rev, Expires: stored.Add(beatExpires), Body: body}
	if doc.Rev, err = putDocument(ctx, a.store, doc); err != nil {
		return err
	}
	a.nodes.rev = doc.Rev
	a.nodes.process.setWrote(a.store.key)
	a.nodes.mu.Lock()
	defer a.nodes.mu.Unlock()
	a.nodes.beaten = now
	return a.compareClocks(now, stored)
}

// enter waits for a gate.
func enter(ctx context.Context, gate chan<- struct{}) error {
	select {
	case gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func exit(gate <-chan struct{}) { <-gate }

func nodeKey(id string) store.Key { return store.Key{Tenant: nodeTenant, Kind: kindNode, ID: id} }

// putDocument puts a document in the place of what is there, and gives its revision. It
// may have expired meanwhile, or the configuration before this one wrote it.
func putDocument(ctx context.Context, s store.Store, doc store.Doc) (rev int64, err error) {
	for range 3 {
		op := store.Create(doc)
		if doc.Rev > 0 {
			op = store.Swap(doc)
		}
		err = s.Commit(ctx, op)
		if err == nil {
			return doc.Rev + 1, nil
		}
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) {
			return 0, err
		}
		have, gone := s.Get(ctx, doc.Key)
		if gone != nil && !errors.Is(gone, store.ErrNotFound) {
			return 0, gone
		}
		doc.Rev = have.Rev
	}
	return 0, err
}

// live gives the heartbeats that have not expired, in the order of their ids. One
// that this program cannot read is left out.
func (a *App) live(ctx context.Context) ([]nodeRecord, error) {
	var all []nodeRecord
	for after := ""; ; {
		docs, err := a.store.List(ctx, nodeTenant, kindNode, "", after, nodePage)
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			after = doc.ID
			r := nodeRecord{id: doc.ID}
			if json.Unmarshal(doc.Body, &r) == nil && r.V == nodeVersion {
				all = append(all, r)
			}
		}
		if len(docs) < nodePage || len(all) >= maxNodes {
			return all, nil
		}
	}
}
