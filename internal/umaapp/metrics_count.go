package umaapp

import (
	"context"

	"github.com/caddy-uma/caddy-uma/internal/event"
)

// count counts an event.
func (m *metrics) count(_ context.Context, e event.Event) {
	if m == nil {
		return
	}
	switch e := e.(type) {
	case event.TicketIssued:
		m.tickets.add(values{})
	case event.Decision:
		m.decisions.add(values{string(e.Outcome)})
	case event.Exchange:
		m.exchanges.add(values{string(e.Outcome)})
	case event.RPTCheck:
		m.checks.add(values{e.Source, string(e.Outcome)})
	case event.Discovery:
		m.discoveries.add(values{string(e.Outcome)})
	case event.Revocation:
		m.revocations.add(values{})
	case event.Replay:
		m.replays.add(values{})
	case event.Block:
		m.blocks.add(values{e.Kind, changeOf(e)})
	case event.Continuity:
		m.continuity.add(values{string(e.Kind), string(e.Outcome)})
	case event.Login:
		m.logins.add(values{e.Method, string(e.Outcome)})
	case event.Consent:
		m.consents.add(values{string(e.Outcome)})
	}
}

func changeOf(e event.Block) string {
	if e.Lifted {
		return "lifted"
	}
	return "set"
}
