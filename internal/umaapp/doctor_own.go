package umaapp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/finding"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/health"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/sites"
)

// ownExamines are of what the app knows itself. Which keys there are, and whether the
// store is used, hangs on what the directives asked for, so they are made at the first
// question.
func (a *App) ownExamines() {
	a.RegisterExamine(a.examineExceptions)
	a.RegisterExamine(a.examineSites)
	tenants := a.tenants()
	for _, name := range tenants {
		a.RegisterExamine(func(ctx context.Context) []finding.Finding { return a.examineKeys(ctx, name) })
	}
	if !a.nodes.storeWanted.Load() && (a.Keys != keysStore || len(tenants) == 0) {
		return // nothing is kept
	}
	a.RegisterExamine(a.examineStore)
	if a.shared() {
		a.RegisterExamine(a.examineNodes)
	}
}

// Directive is that of a role, with its issuer: a subject of findings.
func Directive(role, issuer string) string {
	return map[string]string{"as": "uma_server", "sts": "uma_sts", "rs": "uma_protect"}[role] + " " + issuer
}

// examineStore writes the sign of life of this node: what opens the store looks at its
// version, too. The errors of stores say what to do.
func (a *App) examineStore(ctx context.Context) []finding.Finding {
	l := finding.List{Subject: "store"}
	err := a.beat(ctx)
	if clocks, ok := errors.AsType[*health.Error](err); ok { // it was written
		const cause, cure = "what one node makes, others may refuse; a node that is five minutes slow records nothing that lasts", "let both machines set their clocks by NTP"
		if !clocks.Mild {
			l.Fail("clock", clocks.Reason, cause, cure)
		} else {
			l.Warn("clock", clocks.Reason, cause, cure)
		}
		err = nil
	}
	if err != nil {
		l.Fail("store", "the store cannot be written, so nothing can be issued", err.Error(),
			"look at the disk or the database, and at 'store' in the global options; restore a backup if it is damaged")
		return l.All
	}
	l.OK("store", "it can be written, and its format is that of this program")
	return l.All
}

func (a *App) examineKeys(ctx context.Context, name tenantName) []finding.Finding {
	l := finding.List{Subject: Directive(name.role, name.issuer)}
	if err := a.checkKeys(ctx, name); err != nil {
		place, cure := "Caddy's storage", "look at the disk or service that the global option 'storage' names, and at its permissions"
		if a.Keys == keysStore {
			place, cure = "the store", "look at the store, and whether 'keys store' has the secret that the keys were sealed with"
		}
		l.Fail("keys", "keys in "+place+" cannot be read or made", err.Error(), cure)
		return l.All
	}
	l.OK("keys", "there are keys")
	return l.All
}

// examineNodes compares with the other processes that use the store.
func (a *App) examineNodes(ctx context.Context) []finding.Finding {
	l := finding.List{Subject: "nodes"}
	for _, name := range a.tenants() {
		if _, err := a.fingerprint(ctx, name); err != nil {
			l.Warn("nodes", "it cannot be told whether the nodes share their keys", err.Error(), "look at the storage where the keys are")
			return l.All
		}
	}
	found, err := a.look(ctx)
	if err != nil {
		l.Fail("nodes", "the other nodes cannot be seen", err.Error(), "look at the database")
		return l.All
	}
	sayNodes(&l, found)
	return l.All
}

func sayNodes(l *finding.List, found neighbours) {
	const cure = "give all nodes one storage of Caddy (global option 'storage'), or 'keys store' with the same secret"
	switch {
	case found.outvoted:
		l.Fail("nodes", "this node has other keys than most", "different keys for an issuer: "+differing(found.strange), cure)
	case len(found.strange) > 0:
		l.Fail("nodes", "another node has other keys than this one", "different keys for an issuer: "+differing(found.strange), cure)
	default:
		l.OK("nodes", "the nodes that use this store share their keys")
	}
	if len(found.newer) > 0 {
		l.Warn("policies", "another node runs newer policies", "they were loaded later there: "+differing(found.newer), "load the same configuration here")
	}
}

// differing names other nodes, at most ten.
func differing(all differences) string {
	var names []string
	for _, d := range all {
		names = append(names, strings.TrimSpace(cut(d.node)+" "+cut(d.host))+" ("+d.issuer+")")
	}
	slices.Sort(names)
	return strings.Join(names[:min(len(names), 10)], ", ")
}

// examineExceptions names what is right in a test, and a hole when left over from one.
func (a *App) examineExceptions(context.Context) []finding.Finding {
	l := finding.List{Subject: "global option uma"}
	for _, from := range sortedKeys(a.ConnectTo) {
		l.Exception("connect_to "+from, a.ConnectTo[from], leadsHome(a.ConnectTo[from]))
	}
	return l.All
}

// ExamineLocal adds a warning if hostport, for which an exception of the outbound
// rules stands in the configuration, is this machine or in a private network.
func ExamineLocal(l *finding.List, entry, hostport string) {
	l.Exception(entry, hostport, leadsHome(hostport))
}

var errNoSites = errors.New("the configuration has no sites")

// examineSites looks at what stands before and behind our directives.
func (a *App) examineSites(ctx context.Context) []finding.Finding {
	servers, err := a.servers()
	if err != nil {
		l := finding.List{Subject: "sites"}
		l.Warn("routes", "the sites cannot be looked at", err.Error(), "load a configuration with sites")
		return l.All
	}
	return sites.Examine(ctx, servers)
}

func (a *App) servers() (map[string]*caddyhttp.Server, error) {
	module, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil, errNoSites
	}
	web, ok := module.(*caddyhttp.App)
	if !ok {
		return nil, fmt.Errorf("the app http is a %T", module)
	}
	return web.Servers, nil
}
