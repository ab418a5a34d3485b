package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Bounds that floods are judged by.
const (
	// maxFloodMemory is more than all tables of the standard limits need, with the
	// garbage of the requests that are under way.
	maxFloodMemory = 512 << 20
	// maxSlowdown of the 99th percentile of legitimate flows.
	maxSlowdown = 3
	// floodSources of the flood at the token endpoint, each with the standard limit:
	// 60 presentations at once, then one a second.
	floodSources = 64
	tokenBurst   = 60
	tokensPerSec = 1
)

// flood is many requests of nobody in particular, with legitimate flows beside.
type flood struct {
	name, what string
	ops        func(*world) []op
	// people are the legitimate clients.
	people func(*world) []op
	// mayStore is how many documents the flood may leave after so long.
	mayStore func(time.Duration) int64
}

func nothing(time.Duration) int64 { return 0 }

func floods() []flood {
	return []flood{
		{"401s", "anonymous requests, each answered with a fresh ticket", func(w *world) []op {
			return refused(w.main.settings.Ports.Warm)
		}, people, nothing},
		{"presentations", "tickets without claims and garbage at the token endpoint", presentations, limitedPeople, func(d time.Duration) int64 {
			return floodSources * (tokenBurst + int64(d.Seconds()+1)*tokensPerSec)
		}},
		{"paths", "anonymous requests for as many distinct paths of the form /users/…/photos/…", paths, people, nothing},
	}
}

// people are two clients that walk the nine steps.
func people(w *world) []op {
	access := w.access[w.main]
	return []op{newParty(w.main, access).nineSteps, newParty(w.main, access).nineSteps}
}

// limitedPeople do so from an address of their own each time: one address may walk
// only so often.
func limitedPeople(w *world) []op {
	access, next := w.access[w.main], new(atomic.Uint32)
	source := func() string {
		n := next.Add(1)
		return fmt.Sprintf("10.8.%d.%d", n>>8&0xff, n&0xff)
	}
	return []op{newLimitedParty(w.main, access, source).nineSteps, newLimitedParty(w.main, access, source).nineSteps}
}

// paths asks for distinct ones.
func paths(w *world) []op {
	next := new(atomic.Int64)
	return each(func() op {
		c := newConn(w.main.settings.Ports.Warm)
		return func() error {
			n := next.Add(1)
			a, err := c.do(get(fmt.Sprintf("/users/u%d/photos/p%d", n, n), "", ""))
			if err := expect("GET", a, err, http.StatusUnauthorized); err != nil {
				return err
			}
			_, err = ticketIn(a)
			return err
		}
	})
}

// presentations shows the token endpoint fresh tickets and garbage in turns, without
// a claims token. A ticket leaves a document, garbage none.
func presentations(w *world) []op {
	p, next := w.main.settings.Ports, new(atomic.Int64)
	return each(func() op {
		rs, as := newConn(p.Limited), newConn(p.LimitedAS)
		request := get("/", "", "")
		return func() error {
			n := next.Add(1)
			ticket := rand.Text()
			if n%2 == 0 {
				a, err := rs.do(request)
				if err := expect("GET", a, err, http.StatusUnauthorized); err != nil {
					return err
				}
				if ticket, err = ticketIn(a); err != nil {
					return err
				}
			}
			a, err := as.do(post("/limited/uma/token", url.Values{
				"grant_type": {oauth.GrantUMATicket}, "client_id": {clientID}, "ticket": {ticket},
			}, fmt.Sprintf("10.9.0.%d", n/2%floodSources)))
			if err == nil && (a.status == http.StatusBadRequest || a.status == http.StatusForbidden || a.status == http.StatusTooManyRequests) {
				return nil
			}
			return expect("token endpoint", a, err, http.StatusForbidden)
		}
	})
}

// damage is what a flood did.
type damage struct {
	Kind      string  `json:"kind"` // "flood"
	Flood     string  `json:"flood"`
	What      string  `json:"what"`
	Requests  int64   `json:"requests"`
	PerSecond float64 `json:"per_second"`
	// Flows are the legitimate ones meanwhile, P99 theirs, Alone that without a
	// flood.
	Flows int64   `json:"flows"`
	Alone float64 `json:"p99_alone_ms"`
	P99   float64 `json:"p99_ms"`
	// Stored is how many documents there are more than the flows have left,
	// MayStore how many may be.
	Stored   int64 `json:"stored"`
	MayStore int64 `json:"may_store"`
	// FileBefore and FileAfter are sizes of the file of the documents.
	FileBefore int64 `json:"file_before"`
	FileAfter  int64 `json:"file_after"`
	// Memory is the most that was allocated meanwhile.
	Memory     int64  `json:"memory"`
	Errors     int64  `json:"errors"`
	Unexpected int64  `json:"unexpected"`
	FirstError string `json:"first_error,omitempty"`
}

// Times of floods.
const (
	aloneFor    = 10 * time.Second
	peoplePause = 20 * time.Millisecond
)

// run measures the legitimate flows alone, and then during the flood.
func (f flood) run(w *world, n, perSecond int64) (damage, error) {
	d := damage{Kind: "flood", Flood: f.name, What: f.what}
	before, err := w.main.state()
	if err != nil {
		return d, err
	}
	alone := run(f.people(w), pausedLoop(peoplePause, after(aloneFor)))
	between, err := w.main.state()
	if err != nil {
		return d, err
	}
	d.FileBefore = fileSize(w.main.settings.DB)
	attack, flows, peak := f.strike(w, n, perSecond)
	end, err := w.main.state()
	if err != nil {
		return d, err
	}
	d.FileAfter, d.Memory = fileSize(w.main.settings.DB), peak
	perFlow := ratio(float64(between.Created-before.Created), float64(alone.ops))
	d.Stored = end.Created - between.Created - int64(perFlow*float64(flows.ops)+0.5)
	d.MayStore = f.mayStore(attack.took)
	d.Requests, d.PerSecond, d.Flows = attack.ops, float64(attack.ops)/attack.took.Seconds(), flows.ops
	d.Alone, d.P99 = millis(quantile(alone.latencies, 0.99)), millis(quantile(flows.latencies, 0.99))
	for _, t := range []tally{alone, attack, flows} {
		d.Errors += t.errors
		d.Unexpected += t.unexpected
		if d.FirstError == "" && t.firstError != nil {
			d.FirstError = t.firstError.Error()
		}
	}
	return d, nil
}

// strike floods, with the people beside.
func (f flood) strike(w *world, n, perSecond int64) (attack, flows tally, peak int64) {
	over, walked, watched := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(walked)
		flows = run(f.people(w), pausedLoop(peoplePause, over))
	}()
	go func() {
		defer close(watched)
		for ticker := time.NewTicker(100 * time.Millisecond); ; {
			m, _ := memoryOf(w.main.pid())
			peak = max(peak, m.Anonymous)
			select {
			case <-over:
				ticker.Stop()
				return
			case <-ticker.C:
			}
		}
	}()
	attack = fixedNumber(f.ops(w), n, perSecond)
	close(over)
	<-walked
	<-watched
	return attack, flows, peak
}

func fileSize(name string) int64 {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return info.Size()
}

// verdicts judge what a flood did.
func (d damage) verdicts() []verdict {
	slower := ratio(d.P99, d.Alone)
	return []verdict{
		{
			Kind: "goal", Goal: fmt.Sprintf("flood of %s: at most %d documents stored", d.Flood, d.MayStore),
			Value: float64(d.Stored), Held: d.Stored <= d.MayStore,
		},
		{
			Kind: "goal", Goal: fmt.Sprintf("flood of %s: at most %d MiB of memory", d.Flood, maxFloodMemory>>20),
			Value: float64(d.Memory >> 20), Held: d.Memory <= maxFloodMemory,
		},
		{
			Kind: "goal", Goal: fmt.Sprintf("flood of %s: p99 of legitimate flows at most %d times that without", d.Flood, maxSlowdown),
			Value: slower, Held: slower <= maxSlowdown,
		},
	}
}
