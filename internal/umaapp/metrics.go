package umaapp

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-uma/caddy-uma/internal/event"
)

// metrics are the counters of the process. Labels come from closed sets (outcome,
// source, …) and never from a request, so that nobody can make more of them. A nil
// metrics counts nothing.
type metrics struct {
	tickets, decisions, exchanges, checks, discoveries, revocations, replays,
	blocks, continuity, logins, consents, dropped family

	store *storeMeter
	all   []prometheus.Collector
}

func newMetrics() *metrics {
	m := new(metrics)
	m.tickets = m.family("tickets_total", "Permission tickets issued.")
	m.decisions = m.family("decisions_total", "Answers to requests with the UMA grant.", outcomes(allAnswers...))
	m.exchanges = m.family("exchanges_total", "Answers to token exchanges.", outcomes(allAnswers...))
	m.checks = m.family("rpt_checks_total", "Requests with an RPT at a resource server.",
		label{"source", []string{"local", "introspection", "cache"}}, outcomes(event.Granted, event.Denied, event.Refused, event.Failed))
	m.discoveries = m.family("discoveries_total", "Look-ups at the network of the provider of an e-mail address.",
		outcomes(event.Granted, event.Refused, event.Failed))
	m.revocations = m.family("revocations_total", "Grants, or single tokens of them, that ended before their time.")
	m.replays = m.family("replays_total", "Permission tickets that were presented a second time.")
	m.blocks = m.family("blocks_total", "Blocks that administrators set and lifted.",
		label{"kind", []string{"address", "domain", "issuer"}}, label{"change", []string{"set", "lifted"}})
	m.continuity = m.family("continuity_total", "Decisions about somebody who is not as the ledger knows him.",
		label{"kind", []string{string(event.KnownAddress), string(event.KnownDomain)}}, outcomes(event.Warned, event.Denied))
	m.logins = m.family("logins_total", "Logins at the embedded provider.",
		label{"method", []string{"form", "session", "challenge", "device"}}, outcomes(event.Granted, event.Denied, event.Refused, event.Failed))
	m.consents = m.family("consents_total", "What users of the embedded provider said when they were asked for their consent, or later.",
		outcomes(event.Granted, event.Denied, event.Failed))
	m.dropped = m.family("events_dropped_total", "Caddy events that were not delivered: their handlers are too slow, or gone.")
	m.store = newStoreMeter()
	m.all = append(m.all, m.store.seconds, m.store.failures)
	return m
}

// allAnswers are the outcomes of what somebody asks for.
var allAnswers = []event.Outcome{event.Granted, event.Denied, event.NeedInfo, event.Refused, event.Failed} //nolint:gochecknoglobals // a table

// label is a label with all its values.
type label struct {
	name   string
	values []string
}

func outcomes(all ...event.Outcome) label {
	l := label{name: "outcome"}
	for _, o := range all {
		l.values = append(l.values, string(o))
	}
	return l
}

// family is a family of counters, made in advance: adding costs no allocation, and
// what has not happened yet is there as 0.
type family struct {
	by    map[values]prometheus.Counter
	vec   *prometheus.CounterVec
	other []string
}

// values are those of up to two labels.
type values [2]string

func (m *metrics) family(name, help string, labels ...label) family {
	f := family{by: map[values]prometheus.Counter{}}
	keys := []values{{}}
	var names []string
	for i, l := range labels {
		names, f.other = append(names, l.name), append(f.other, "other")
		var longer []values
		for _, k := range keys {
			for _, v := range l.values {
				k[i] = v
				longer = append(longer, k)
			}
		}
		keys = longer
	}
	f.vec = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "caddy", Subsystem: "uma", Name: name, Help: help}, names)
	for _, k := range keys {
		f.by[k] = f.vec.WithLabelValues(k[:len(labels)]...)
	}
	m.all = append(m.all, f.vec)
	return f
}

// add counts one. What is in no table is counted too, but under a name of ours.
func (f *family) add(v values) {
	if counter, ok := f.by[v]; ok {
		counter.Inc()
		return
	}
	f.vec.WithLabelValues(f.other...).Inc()
}

// metricsKey is where an earlier configuration leaves its counters to the next one.
const metricsKey = "metrics"

// provisionMetrics registers the counters with the configuration's own registry.
// Caddy makes a new one for each configuration; the counters are those of before,
// so that they never jump back while the process serves.
func (a *App) provisionMetrics() (err error) {
	if a.metrics, err = Keep(a, metricsKey, newMetrics); err != nil {
		return err
	}
	return a.metrics.register(a.ctx.GetMetricsRegistry())
}

func (m *metrics) register(registry *prometheus.Registry) error {
	if registry == nil {
		return nil
	}
	for _, c := range m.all {
		err := registry.Register(c)
		if _, twice := errors.AsType[prometheus.AlreadyRegisteredError](err); err != nil && !twice {
			return err
		}
	}
	return nil
}

// Provision implements caddy.Provisioner. Caddy replaces the admin endpoint, whose
// /metrics shows one registry, before it loads the apps, and does not take that back
// if they fail. So the counters of the configuration that goes on serving are
// registered here, too.
func (adminAPI) Provision(ctx caddy.Context) (err error) {
	memories.Range(func(key, value any) bool {
		if key != metricsKey {
			return true
		}
		if kept, ok := value.(memory); ok {
			if m, ok := kept.value.(*metrics); ok {
				err = m.register(ctx.GetMetricsRegistry())
			}
		}
		return false
	})
	return err
}

var _ caddy.Provisioner = adminAPI{}
