package umaapp

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// storeOp is a kind of operation of the store, as metrics and spans call it.
type storeOp string

const (
	opGet    storeOp = "get"
	opList   storeOp = "list"
	opCommit storeOp = "commit"
	opSweep  storeOp = "sweep"
)

// storeMeter measures the store as those who use it see it: waiting for it to be
// opened, or for a connection, counts.
type storeMeter struct {
	seconds  *prometheus.HistogramVec
	failures *prometheus.CounterVec
	by       map[storeOp]opMeter
}

type opMeter struct {
	seconds  prometheus.Observer
	failures prometheus.Counter
}

// storeBuckets reach from a read of bolt's memory to a request that gives up.
var storeBuckets = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5} //nolint:gochecknoglobals // a table

func newStoreMeter() *storeMeter {
	m := &storeMeter{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "caddy", Subsystem: "uma", Name: "store_seconds", Buckets: storeBuckets,
			Help: "How long operations of the document store take.",
		}, []string{"op"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "caddy", Subsystem: "uma", Name: "store_errors_total",
			Help: "Operations of the document store that failed. What it says about documents (not there, there already, changed) is no failure.",
		}, []string{"op"}),
		by: map[storeOp]opMeter{},
	}
	for _, op := range []storeOp{opGet, opList, opCommit, opSweep} {
		m.by[op] = opMeter{m.seconds.WithLabelValues(string(op)), m.failures.WithLabelValues(string(op))}
	}
	return m
}

// observe takes in one operation; a nil storeMeter measures nothing.
func (m *storeMeter) observe(op storeOp, took time.Duration, err error) {
	if m == nil {
		return
	}
	by := m.by[op]
	by.seconds.Observe(took.Seconds())
	if failed(err) {
		by.failures.Inc()
	}
}

// failed tells what is wrong with the store from what it says about documents, and
// from a caller who left.
func failed(err error) bool {
	return err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrExists) &&
		!errors.Is(err, store.ErrConflict) && !errors.Is(err, context.Canceled)
}

// measured does one operation on documents of a kind with a clock beside it, and a
// span if the request has one.
func (l *lazyStore) measured(ctx context.Context, op storeOp, kind string, operation func(store.Store) error) error {
	end := storeSpan(ctx, op, kind)
	began := l.now()
	err := l.do(ctx, operation)
	l.meter.observe(op, l.now().Sub(began), err)
	if end != nil {
		end(failed(err))
	}
	return err
}
