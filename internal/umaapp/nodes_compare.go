package umaapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/umaapp/health"
)

// neighbours is what the other nodes mean for this one.
type neighbours struct {
	// strange are those that use other keys for an issuer of this node. outvoted says
	// that this node is the one that has to go.
	strange  differences
	outvoted bool
	// newer are those that run newer policies, of behind issuers.
	newer  differences
	behind int
}

// difference is between this node and another one, differences one of each node.
type (
	difference  struct{ node, host, issuer string }
	differences []difference
)

func (d *differences) add(node nodeRecord, issuer string) {
	if last := len(*d) - 1; last < 0 || (*d)[last].node != node.id {
		*d = append(*d, difference{node.id, node.Host, issuer})
	}
}

// look reads the heartbeats and compares them with what this node does. Two checks
// of one round share it.
func (a *App) look(ctx context.Context) (neighbours, error) {
	n := &a.nodes
	if err := enter(ctx, n.looking); err != nil {
		return neighbours{}, err
	}
	defer exit(n.looking)
	now := a.now()
	if since := now.Sub(n.looked); since >= 0 && since < health.MaxAge/2 {
		return n.found, nil
	}
	all, err := a.live(ctx)
	if err != nil {
		return neighbours{}, err
	}
	n.found, n.looked = compareNodes(n.process.current(a).record(ctx), all), now
	n.behind.Store(int64(n.found.behind))
	a.tellNeighbours(n.found)
	return n.found, nil
}

// compareNodes compares me with the other nodes.
//
// If two groups of nodes use different keys for an issuer, one of them is wrong, and
// all would be lost if every node of both were taken out. The group on more machines
// stays, and of equal ones that whose oldest node is older: a node that joins with wrong
// keys is the one that goes. Machines are counted and not processes, as one that crashes
// and is started again, and again, leaves a heartbeat each time.
func compareNodes(me nodeRecord, all []nodeRecord) (n neighbours) {
	mine := map[tenantName]nodeIssuer{}
	for _, i := range me.Issuers {
		mine[i.name()] = i
	}
	groups, behind := map[tenantName]map[string]*group{}, map[tenantName]bool{}
	for _, node := range append([]nodeRecord{me}, others(me, all)...) {
		for _, theirs := range node.Issuers {
			own, ok := mine[theirs.name()]
			if !ok {
				continue
			}
			if newer(theirs, own) {
				n.newer.add(node, theirs.Issuer)
				behind[own.name()] = true
			}
			if own.Keys == "" || theirs.Keys == "" { // that keys cannot be read is another check's
				continue
			}
			if theirs.Keys != own.Keys {
				n.strange.add(node, theirs.Issuer)
			}
			count(groups, theirs, node)
		}
	}
	n.behind = len(behind)
	for name, byKeys := range groups {
		own := byKeys[mine[name].Keys]
		for _, g := range byKeys {
			n.outvoted = n.outvoted || g.before(own)
		}
	}
	return n
}

// others are all nodes but me. What stands in the store of me is older than what I
// know of myself.
func others(me nodeRecord, all []nodeRecord) []nodeRecord {
	return slices.DeleteFunc(slices.Clone(all), func(n nodeRecord) bool { return n.id == me.id })
}

// newer tells whether another node runs other policies of an issuer, that were loaded
// later. Revisions are hashes and have no order of their own.
func newer(theirs, own nodeIssuer) bool {
	return own.Revision != "" && theirs.Revision != "" && theirs.Revision != own.Revision && theirs.Loaded.After(own.Loaded)
}

// group is the nodes that use the same keys for an issuer.
type group struct {
	hosts   map[string]bool
	started time.Time // of the oldest node
	oldest  string
}

func count(groups map[tenantName]map[string]*group, i nodeIssuer, node nodeRecord) {
	byKeys := groups[i.name()]
	if byKeys == nil {
		byKeys = map[string]*group{}
		groups[i.name()] = byKeys
	}
	g := byKeys[i.Keys]
	if g == nil {
		g = &group{hosts: map[string]bool{}, started: node.Started, oldest: node.id}
		byKeys[i.Keys] = g
	}
	g.hosts[cmp.Or(node.Host, node.id)] = true
	if cmp.Or(node.Started.Compare(g.started), cmp.Compare(node.id, g.oldest)) < 0 {
		g.started, g.oldest = node.Started, node.id
	}
}

// before tells which of two groups stays. All nodes come to the same answer.
func (g *group) before(other *group) bool {
	return cmp.Or(cmp.Compare(len(other.hosts), len(g.hosts)), g.started.Compare(other.started), cmp.Compare(g.oldest, other.oldest)) < 0
}

// tellNeighbours logs what is new about the others, once.
func (a *App) tellNeighbours(n neighbours) {
	said := fmt.Sprint(n)
	a.nodes.mu.Lock()
	same := said == a.nodes.said
	a.nodes.said = said
	a.nodes.mu.Unlock()
	if same {
		return
	}
	if len(n.strange) > 0 {
		a.log.Error("another node that uses this store has other keys for an issuer: what one of them makes the other refuses. "+
			"Give all nodes one storage of Caddy (global option 'storage'), or 'keys store' with the same secret",
			zap.String("issuer", n.strange[0].issuer), nodesField(n.strange), zap.Bool("this_node_is_the_wrong_one", n.outvoted))
	}
	if len(n.newer) > 0 {
		a.log.Warn("policy_revision behind: another node runs policies of an issuer that were loaded later. Load the same configuration here",
			zap.String("issuer", n.newer[0].issuer), nodesField(n.newer))
	}
}

// nodesField names the other nodes, at most ten.
func nodesField(all differences) zap.Field {
	var names []string
	for _, d := range all {
		names = append(names, strings.TrimSpace(cut(d.node)+" "+cut(d.host)))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return zap.Strings("nodes", names[:min(len(names), 10)])
}

// checkNodes is the check `nodes`.
func (a *App) checkNodes(ctx context.Context) error {
	if err := a.printAll(ctx); err != nil {
		return &health.Error{Reason: "it cannot be told whether the nodes share keys", Mild: true, Err: err}
	}
	found, err := a.look(ctx)
	switch {
	case err != nil: // the check of the store says whether that is bad
		return &health.Error{Mild: true, Err: err}
	case found.outvoted:
		return &health.Error{Reason: "this node has other keys than the other nodes", Err: errOtherKeys}
	case len(found.strange) > 0:
		return &health.Error{Reason: "another node has other keys", Mild: true, Err: errOtherKeys}
	}
	return nil
}

// printAll tells whether the keys of all issuers are known.
func (a *App) printAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, printTime)
	defer cancel()
	for _, name := range a.tenants() {
		if _, err := a.fingerprint(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

var errOtherKeys = errors.New("two nodes that use this store have different keys for an issuer; see the line about it")

// checkPolicies is the check `policies`.
func (a *App) checkPolicies(ctx context.Context) error {
	found, err := a.look(ctx)
	if err != nil {
		return &health.Error{Reason: "the policies of other nodes cannot be seen", Mild: true, Err: err}
	}
	if len(found.newer) > 0 {
		return errBehind
	}
	return nil
}

var errBehind = errors.New("another node runs policies that were loaded later; see the line about it")

// provisionBehind makes the metric.
func (a *App) provisionBehind() error {
	registry := a.ctx.GetMetricsRegistry()
	if registry == nil { // not a configuration of Caddy
		return nil
	}
	return registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "caddy", Subsystem: "uma", Name: "policy_revision_behind",
		Help: "Issuers of which another node that uses the same store runs policies that were loaded later than those of this node.",
	}, func() float64 { return float64(a.nodes.behind.Load()) }))
}
