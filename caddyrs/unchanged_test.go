package caddyrs

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// legitimate are requests that pass a proxy unchanged.
func legitimate(t *testing.T) []wired {
	t.Helper()
	var all []wired
	for _, target := range corpus(t, "legitimate.txt") {
		all = append(all, wired{method: "GET", target: target})
	}
	for _, method := range []string{"HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "M-SEARCH", "x"} {
		all = append(all, wired{method: method, target: "/a?b", header: []string{"X-Two", "1", "X-Two", "2", "Cookie", "a=b; c=d", "Accept", "*/*"}})
	}
	for _, body := range []string{"x", "{\"a\":1}\x00\r\n\xff", strings.Repeat("0123456789", 1000)} {
		all = append(all, wired{method: "POST", target: "/a", body: body, header: []string{"Content-Type", "text/plain"}})
	}
	return all
}

// received sends requests over all protocols and gives what the backend got.
func (f *front) received(t *testing.T, requests []wired, extra ...string) []hit {
	t.Helper()
	var all []hit
	protocols := wires(f.address)
	for _, protocol := range slices.Sorted(maps.Keys(protocols)) {
		w := protocols[protocol]
		for _, q := range requests {
			q.host, q.header = "x", append(slices.Clone(q.header), extra...)
			w.send(t, q)
			hits := f.backend.taken()
			if len(hits) == 0 { // a protocol may refuse a target
				hits = []hit{{line: "nothing"}}
			}
			all = append(all, hits...)
		}
		w.close()
	}
	return all
}

// TestCA_41_AsWithoutProtection compares what the backend gets, byte by byte,
// with what it gets if nothing stands in front of the proxy.
func TestCA_41_AsWithoutProtection(t *testing.T) {
	requests := legitimate(t)
	var want []hit
	t.Run("plain", func(t *testing.T) { want = newFront(t, proxy).received(t, requests) })
	reached := slices.DeleteFunc(slices.Clone(want), func(h hit) bool { return h.line == "nothing" })
	if len(reached) < len(want)*3/4 {
		t.Fatalf("only %d of %d requests reach the backend", len(reached), len(want))
	}
	for name, lines := range map[string]string{"one resource": everyMethod, "resources": "\t\tresource one /never/*\n" + everyMethod} {
		t.Run("CA-41 "+name, func(t *testing.T) {
			f := newFront(t, protect(lines)+proxy)
			(&wire1{address: f.address}).send(t, wired{method: "GET", target: "/", host: "x"})
			got := f.received(t, requests, f.bearer("all", "use")...)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(hit{})); diff != "" {
				t.Errorf("backend (-without +with):\n%s", diff)
			}
		})
	}
}
