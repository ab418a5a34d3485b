package umaapp

import (
	"context"

	"github.com/caddy-uma/caddy-uma/internal/finding"
)

// plainCures are what to do about requests that did not come by TLS.
var plainCures = [whys]string{ //nolint:gochecknoglobals // a table of constants
	byStranger:    "if a load balancer sent it, name the balancer in trusted_proxies (global option servers); else somebody used http, and nothing is wrong here",
	withoutHeader: "let the load balancer set X-Forwarded-Proto: https on what it got by TLS",
	withOddHeader: "let the load balancer replace the X-Forwarded-Proto that clients send",
}

// Examine tells `caddy uma doctor` what was seen of requests that did not come by TLS,
// since the configuration was loaded.
func (p *Plain) Examine(subject string) Examine {
	return func(context.Context) []finding.Finding {
		l := finding.List{Subject: subject}
		for reason := byTLS + 1; reason < whys; reason++ {
			if p.said[reason].Load() {
				l.Warn("https", "a request was refused because it did not come by TLS", plainTexts[reason], plainCures[reason])
			}
		}
		return l.All
	}
}

// Examine is that of the Plain.
func (g *Gate) Examine(subject string) Examine { return g.plain.Examine(subject) }
