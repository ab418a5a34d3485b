package sites

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/finding"
)

// located says whether the site answers for the host that clients are told: a handler
// cannot see in which site it stands.
func (w *walk) located(l *finding.List, host string) {
	switch {
	case host == "" || len(w.hosts) == 0:
	case w.answersFor(host):
		l.OK("host", "the host of the resource_uri is one of this site")
	default:
		l.Warn("host", "clients are told to send requests to '"+host+"', where this site does not answer",
			"the host of the resource_uri is none of this site: "+strings.Join(slices.Concat(w.hosts...), " "),
			"write the resource_uri with a host of this site, on both sides; leave it if something in front changes the host")
	}
}

// answersFor asks the site's own matchers.
func (w *walk) answersFor(host string) bool {
	ctx := context.WithValue(w.ctx, caddy.ReplacerCtxKey, caddy.NewReplacer())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/", http.NoBody)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(w.hosts, func(m caddyhttp.MatchHost) bool {
		ok, err := m.MatchWithError(r)
		return ok && err == nil
	})
}
