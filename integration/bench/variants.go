package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// variant is a pair that is set up right before it is measured: tokens expire.
type variant struct {
	name, what string
	setUp      func(*world) (base, x side, err error)
	// after, if set, finds figures that are no ratios.
	after func(*world) (map[string]float64, error)
}

const pairAA = "A/A"

func variants() []variant {
	return []variant{
		{pairAA, "reverse_proxy against itself: the noise", setUpAA, nil},
		{"warm", "uma_protect, one RPT again and again, against reverse_proxy", setUpWarm, nil},
		{"warm/paced", "the same, 2,000 requests a second: for the latencies", setUpPaced, nil},
		{"cold", "uma_protect, every RPT new, against reverse_proxy", setUpCold, nil},
		{"warm/forward_auth", "uma_protect, one RPT, against forward_auth to a fixed 200", setUpForward, nil},
		{"challenge", "401 with a fresh ticket, AS in the process, against a fixed 401", setUpChallenge, nil},
		{"challenge/remote", "the same, AS in another process", setUpRemote, afterRemote},
		{"exchange", "token exchange (1 signature) against the crypto alone", setUpExchange, nil},
		{"rpt", "401 and ticket to RPT (1 verification, 1 signature) against the crypto alone", setUpRPT, nil},
		{"flow", "the nine steps against 2 signatures and 3 verifications alone", setUpFlow, nil},
		{"durable", "the nine steps, documents on the disk, against documents in memory", setUpDurable, nil},
	}
}

// each makes one op for each client.
func each(one func() op) []op {
	ops := make([]op, clients)
	for i := range ops {
		ops[i] = one()
	}
	return ops
}

// fetch asks a port for the same again and again.
func fetch(port, bearer string, want int) []op {
	request := get("/", bearer, "")
	return each(func() op {
		c := newConn(port)
		return func() error {
			a, err := c.do(request)
			return expect("GET", a, err, want)
		}
	})
}

// tokenLife is longer than a pair takes.
const tokenLife = 30 * time.Minute

func (w *world) fetching(name, port, bearer string) side {
	return side{name, loaded(w.main, fetch(port, bearer, http.StatusOK))}
}

func setUpAA(w *world) (base, x side, err error) {
	p := w.main.settings.Ports
	return w.fetching("reverse_proxy", p.Plain, ""), w.fetching("reverse_proxy", p.Again, ""), nil
}

func setUpWarm(w *world) (base, x side, err error) {
	p := w.main.settings.Ports
	rpt, err := w.rpts.token(tokenLife, nil)
	return w.fetching("reverse_proxy", p.Plain, rpt), w.fetching("uma_protect", p.Warm, rpt), err
}

func setUpPaced(w *world) (base, x side, err error) {
	const perSecond = 2000
	p := w.main.settings.Ports
	rpt, err := w.rpts.token(tokenLife, nil)
	return side{"reverse_proxy", paced(w.main, fetch(p.Plain, rpt, http.StatusOK), perSecond)},
		side{"uma_protect", paced(w.main, fetch(p.Warm, rpt, http.StatusOK), perSecond)}, err
}

func setUpForward(w *world) (base, x side, err error) {
	p := w.main.settings.Ports
	rpt, err := w.rpts.token(tokenLife, nil)
	return w.fetching("forward_auth", p.Forward, rpt), w.fetching("uma_protect", p.Warm, rpt), err
}

// coldTokens are enough that each has left the cache of the cold site, which holds
// 1,000, long before it comes again.
const coldTokens = 5_000

func setUpCold(w *world) (base, x side, err error) {
	tokens, err := w.rpts.tokens(coldTokens, tokenLife)
	if err != nil {
		return base, x, err
	}
	requests := make([][]byte, len(tokens))
	for i, token := range tokens {
		requests[i] = get("/", token, "")
	}
	p := w.main.settings.Ports
	rotating := func(port string) []op {
		next := new(atomic.Int64)
		return each(func() op {
			c := newConn(port)
			return func() error {
				a, err := c.do(requests[int(next.Add(1))%len(requests)])
				return expect("GET", a, err, http.StatusOK)
			}
		})
	}
	return side{"reverse_proxy", loaded(w.main, rotating(p.Plain))}, side{"uma_protect", loaded(w.main, rotating(p.Cold))}, nil
}

// refused asks for 401s that hold a ticket.
func refused(port string) []op {
	request := get("/", "", "")
	return each(func() op {
		c := newConn(port)
		return func() error {
			a, err := c.do(request)
			if err := expect("GET", a, err, http.StatusUnauthorized); err != nil {
				return err
			}
			_, err = ticketIn(a)
			return err
		}
	})
}

func setUpChallenge(w *world) (base, x side, err error) {
	p := w.main.settings.Ports
	return side{"respond 401", loaded(w.main, refused(p.Static))}, side{"uma_protect", loaded(w.main, refused(p.Warm))}, nil
}

func setUpRemote(w *world) (base, x side, err error) {
	p := w.main.settings.Ports
	return side{"respond 401", loaded(w.main, refused(p.Static))}, side{"uma_protect, remote AS", loaded(w.main, refused(p.Remote))}, nil
}

// Names of figures that are no ratios.
const (
	callsPer401    = "calls of the AS per 401"
	newConnections = "new connections to the AS"
)

// afterRemote counts what 401s cost at the remote server, once all is warm. Its
// access log is written when an answer has left, a moment before we have it or
// after.
func afterRemote(w *world) (map[string]float64, error) {
	ops := refused(w.main.settings.Ports.Remote)
	closedLoop(ops, 200*time.Millisecond)
	time.Sleep(100 * time.Millisecond)
	callsBefore, errCalls := permissionCalls(w.remote.settings.AccessLog)
	before, err := connectionsTo(w.remote.settings.Ports.TLS)
	if err != nil || errCalls != nil {
		return nil, fmt.Errorf("%w, %w", err, errCalls)
	}
	t := fixedNumber(ops, 500, 0)
	time.Sleep(100 * time.Millisecond)
	after, err := connectionsTo(w.remote.settings.Ports.TLS)
	if err != nil {
		return nil, err
	}
	calls, err := permissionCalls(w.remote.settings.AccessLog)
	opened := 0
	for port := range after {
		if !before[port] {
			opened++
		}
	}
	return map[string]float64{
		callsPer401: ratio(float64(calls-callsBefore), float64(t.ops)), newConnections: float64(opened),
	}, err
}

// permissionCalls counts the requests for tickets in an access log.
func permissionCalls(file string) (int, error) {
	text, err := os.ReadFile(file)
	return bytes.Count(text, []byte(`"uri":"/uma/permission"`)), err
}

func setUpExchange(w *world) (base, x side, err error) {
	ops := each(func() op {
		p := newParty(w.main, w.access[w.main])
		return func() error {
			_, err := p.exchange(randomChallenge())
			return err
		}
	})
	return rawLoop(1, 0), side{"uma_sts", loaded(w.main, ops)}, nil
}

func setUpRPT(w *world) (base, x side, err error) {
	ops := each(func() op {
		p := newParty(w.main, w.access[w.main])
		return func() error {
			ticket, err := p.challenged()
			if err != nil {
				return err
			}
			claims, err := w.claims.token(time.Minute, map[string]any{"ticket_challenge": challengeOf(ticket)})
			if err != nil {
				return err
			}
			_, err = p.redeem(ticket, claims)
			return err
		}
	})
	return rawLoop(1, 1), side{"uma_server", loaded(w.main, ops)}, nil
}

func (w *world) flows(v *server) []op {
	return each(func() op { return newParty(v, w.access[v]).nineSteps })
}

func setUpFlow(w *world) (base, x side, err error) {
	return rawLoop(2, 3), side{"nine steps", loaded(w.main, w.flows(w.main))}, nil
}

func setUpDurable(w *world) (base, x side, err error) {
	if w.memory == "" {
		return base, x, fmt.Errorf("%s is missing", sharedMemory)
	}
	return side{"in memory", loaded(w.remote, w.flows(w.remote))}, side{"on disk", loaded(w.main, w.flows(w.main))}, nil
}
