package rs_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

const metadataCall = "GET /.well-known/uma2-configuration"

func TestReachable(t *testing.T) {
	w := newWorld(t)
	reachable := func(when string, want error) {
		t.Helper()
		if err := w.rs.Reachable(t.Context()); !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", when, err, want)
		}
	}
	asked := func(when string, metadata int) {
		t.Helper()
		if n := w.as.count(metadataCall); n != metadata {
			t.Errorf("%s: metadata was asked for %d times, want %d", when, n, metadata)
		}
		if n := w.as.count("POST /token"); n != 1 {
			t.Errorf("%s: %d PATs, want one", when, n)
		}
	}
	for range 5 {
		reachable("at the start", nil)
	}
	asked("at the start", 1)
	w.now = w.now.Add(31 * time.Second)
	reachable("the second round of the registration is heard, too", nil)
	asked("the second round", 1)
	w.now = w.now.Add(29 * time.Second)
	reachable("heard lately", nil)
	asked("heard lately", 1)
	w.now = w.now.Add(time.Second)
	for range 5 {
		reachable("not heard for a while", nil)
	}
	asked("not heard for a while", 2)
	w.now = w.now.Add(25 * time.Second)
	w.status("GET", "") // a request hears it, too
	w.now = w.now.Add(25 * time.Second)
	reachable("a request heard it", nil)
	asked("a request heard it", 2)

	w.as.set(func() { w.as.down = true })
	w.now = w.now.Add(30 * time.Second)
	reachable("down", rs.ErrUnreachable)
	reachable("down", io.ErrUnexpectedEOF)
	calls := 0
	always := w.cfg.AS
	w.cfg.AS = func(c rs.Call, r *http.Request) (*http.Response, error) { calls++; return always(c, r) }
	w.restart()
	for range 5 {
		reachable("down from the start", rs.ErrUnreachable)
	}
	w.now = w.now.Add(4 * time.Second)
	reachable("a failure is remembered", rs.ErrUnreachable)
	if calls != 2 { // of six questions: the first one's, which is lost and sent once more
		t.Errorf("%d calls of one that is down, want two", calls)
	}
	w.as.set(func() { w.as.down = false })
	w.now = w.now.Add(time.Second)
	reachable("there again", nil)

	w.as.set(func() { w.as.down = true })
	w.now = w.now.Add(31 * time.Second)
	reachable("down again", rs.ErrUnreachable)
	w.as.set(func() { w.as.down = false })
	w.now = w.now.Add(time.Second)
	w.status("GET", "")
	reachable("a request has heard since", nil)
}

func TestReachable_Refused(t *testing.T) {
	for status, want := range map[int]error{401: rs.ErrRefused, 400: rs.ErrRefused, 404: rs.ErrUnreachable, 503: rs.ErrUnreachable} {
		w := newWorld(t)
		always := w.cfg.AS
		w.cfg.AS = func(c rs.Call, r *http.Request) (*http.Response, error) {
			if c == rs.CallToken {
				return &http.Response{StatusCode: status, Body: http.NoBody, Header: http.Header{}}, nil
			}
			return always(c, r)
		}
		w.restart()
		if err := w.rs.Reachable(t.Context()); !errors.Is(err, want) {
			t.Errorf("%d at the token endpoint: %v, want %v", status, err, want)
		}
	}
}
