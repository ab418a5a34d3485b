package caddyrs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/finding"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/rs"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/sites"
)

// Protects tells whether the handler protects what comes after it: others of the
// module only serve documents, or stand behind one that does (see package sites).
func (h *Handler) Protects() bool {
	return len(h.GuardRaw) == 0 && len(h.guard) == 0 && h.Metadata != metadataOnly && h.Metadata != metadataKeys
}

// Host is that of the resource_uri, which clients send requests to; "" = not known.
func (h *Handler) Host(ctx context.Context) string {
	uri, err := h.engine.ResourceURI(ctx)
	if err != nil { // the way to the authorization server is a finding of its own
		return ""
	}
	parsed, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return parsed.Host
}

// maxAsked is how many resource servers that share a client ask for a PAT of their own in
// one examination: authorization servers bound how often a client asks, and requests
// need theirs.
const maxAsked = 10

func resourcesAlone(server *rs.Server) func(context.Context) []rs.Examined {
	return func(ctx context.Context) []rs.Examined { return []rs.Examined{server.ExamineResources(ctx)} }
}

// examine is for `caddy uma doctor`: the way to the authorization server.
func (g *group) examine(issuer, clientID string) umaapp.Examine {
	return func(ctx context.Context) []finding.Finding {
		l := finding.List{Subject: "uma_protect " + clientID + " at " + issuer}
		for i, server := range g.all() {
			leeway := server.Leeway()
			if ctx.Err() != nil {
				l.Warn("authorization_server", "not everything was looked at", "there was no time left", "again in a minute")
				return l.All
			}
			steps := server.Examine
			if i >= maxAsked {
				steps = resourcesAlone(server)
			}
			for _, x := range steps(ctx) {
				say(&l, x, issuer, clientID, leeway)
			}
		}
		return l.All
	}
}

// say puts words to a step.
func say(l *finding.List, x rs.Examined, issuer, clientID string, leeway time.Duration) {
	switch {
	case x.Step == rs.StepMetadata:
		sayMetadata(l, x, issuer, clientID)
		l.Clock("the authorization server", x.Date, x.At, leeway)
	case x.Step == rs.StepKeys && x.Err == nil:
		l.OK("keys", "the keys of the authorization server can be read")
	case x.Step == rs.StepKeys:
		l.Fail("keys", "the keys of the authorization server cannot be used, so RPTs cannot be checked", reason(x),
			"look at the jwks_uri of its metadata, and into its log")
	case x.Step == rs.StepPAT && x.Err == nil:
		l.OK("credentials", "the authorization server takes the credentials of '%s'", clientID)
	case x.Step == rs.StepPAT:
		sayPAT(l, x, issuer, clientID)
	case x.Step == rs.StepURI && x.Err == nil:
		l.OK("resource_uri", "both sides agree on the resource_uri")
	case x.Step == rs.StepURI:
		sayURI(l, x, clientID)
	default:
		sayResources(l, x)
	}
}

func sayMetadata(l *finding.List, x rs.Examined, issuer, clientID string) {
	const check = "authorization_server"
	switch {
	case x.Err == nil:
		l.OK(check, "the authorization server answers, and is the issuer that is written here")
	case x.Theirs != "":
		l.Fail(check, "the authorization server has another issuer, so nothing of it is taken",
			fmt.Sprintf("written here is '%s', its metadata say '%s'", x.Ours, x.Theirs), otherIssuer(x))
	case errors.Is(x.Err, errNoLocalAS):
		l.Fail(check, "there is no way to the authorization server", "uma_protect has no credentials, and no uma_server "+issuer+" is in this configuration",
			"write client_secret, or 'uma_server "+issuer+"' with 'resource_server "+clientID+" … { local }'")
	case x.Status == http.StatusNotFound:
		l.Fail(check, "there is no authorization server at "+issuer, "it has no metadata there (404)",
			"compare the issuer with that of uma_server there, slash and path included; look whether that site is reached")
	case x.Status >= http.StatusInternalServerError:
		l.Fail(check, "the authorization server is in trouble", reason(x), "look into its log")
	case x.Status != 0:
		l.Fail(check, "the authorization server does not give its metadata", reason(x), "look which site answers there, and into its log")
	default:
		cause, cure := unreachable(x)
		l.Fail(check, "the authorization server cannot be reached", cause, cure)
	}
}

// otherIssuer is the cure for metadata of another issuer. Nobody is told to trust another
// host because somebody who answers there says so.
func otherIssuer(x rs.Examined) string {
	ours, err := url.Parse(x.Ours)
	theirs, other := url.Parse(x.Theirs)
	if err != nil || other != nil || ours.Scheme != theirs.Scheme || ours.Host != theirs.Host {
		return "look who answers at " + x.Ours + "; if it is your authorization server, its uma_server and uma_protect here must have the same issuer"
	}
	return "write 'uma_protect " + x.Theirs + "', or correct the issuer there"
}

func sayPAT(l *finding.List, x rs.Examined, issuer, clientID string) {
	const check = "credentials"
	switch {
	case x.Status == http.StatusUnauthorized, x.Code == oauth.CodeInvalidClient:
		l.Fail(check, "the authorization server refuses the credentials of '"+clientID+"'", reason(x),
			"compare client_id and client_secret (or key, or certificate) with 'resource_server "+clientID+"' at "+issuer)
	case x.Status == http.StatusTooManyRequests:
		l.Warn(check, "the authorization server gives no PAT at the moment", reason(x), "again in a minute; somebody asks too often in the name of '"+clientID+"'")
	case x.Status >= http.StatusInternalServerError:
		l.Fail(check, "the authorization server gives no PAT", reason(x), "look into its log; often its store is away")
	case x.Status != 0:
		l.Fail(check, "the authorization server gives '"+clientID+"' no PAT", reason(x),
			"look whether '"+clientID+"' is a resource server there, and not only a client")
	default:
		cause, cure := unreachable(x)
		l.Fail(check, "the authorization server gives no PAT", cause, cure)
	}
}

func sayURI(l *finding.List, x rs.Examined, clientID string) {
	const check = "resource_uri"
	if x.Theirs == "" {
		l.Fail(check, "nobody knows the resource_uri", reason(x), "write 'resource_uri https://…' here, or behind 'resource_server "+clientID+"' at the authorization server")
		return
	}
	l.Fail(check, "the resource_uri differs, so nothing passes",
		fmt.Sprintf("written here is '%s', at the authorization server '%s'", x.Ours, x.Theirs), "write the same on both sides, or leave resource_uri away here")
}

func sayResources(l *finding.List, x rs.Examined) {
	const check = "resources"
	names := slices.DeleteFunc(slices.Clone(x.Names), func(name string) bool { return name == "" })
	switch {
	case x.Err == nil:
		l.OK(check, "the resources are registered")
	case len(names) > 0:
		l.Fail(check, "resources are not accepted: "+strings.Join(names[:min(len(names), 10)], ", "), reason(x),
			"look into the log of the authorization server; compare with: caddy uma resources diff")
	case x.Status == 0:
		cause, cure := unreachable(x)
		l.Fail(check, "the resources are not registered", cause, cure)
	default:
		l.Fail(check, "the resources are not registered", reason(x), "look into the log of the authorization server")
	}
}

// reason is the cause of a step that failed at the other side.
func reason(x rs.Examined) string {
	switch {
	case x.Status != 0 && x.Code != "":
		return fmt.Sprintf("it answers %d %s", x.Status, x.Code)
	case x.Status != 0:
		return fmt.Sprintf("it answers %d", x.Status)
	}
	return x.Err.Error()
}

// unreachable is the cause of a step without an answer.
func unreachable(x rs.Examined) (cause, cure string) {
	if !x.Unanswered {
		return x.Err.Error(), "look what answers there, and into its log"
	}
	return finding.Network(x.Err)
}

var _ sites.Protector = (*Handler)(nil)
