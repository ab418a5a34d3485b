package discovery_test

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
)

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Strangers fill the caches with the longest that is accepted: what has no
// place takes no memory.
func TestSEC_09_MemoryOfFullCaches(t *testing.T) {
	const size = 2_000 // a fifth of the default
	w := newPatient(t, fakeop.New(t, fakeop.Config{}), discovery.Config{Size: size})
	long := strings.Repeat("x", 990)
	fill := func(from, to int) int64 {
		before := heap()
		for i := from; i < to; i++ {
			domain := fmt.Sprintf("d%d.%s.example", i, strings.Repeat("y", 63))
			issuer := fmt.Sprintf("https://%s/%s", domain, long)[:1024]
			address := strings.Repeat("z", 64) + "@" + domain
			w.finder.Fill(address, domain, issuer, strings.Clone(issuer), w.clock().Add(time.Hour))
		}
		return heap() - before
	}
	first := fill(0, 2*size)
	more := fill(2*size, 6*size)
	t.Logf("full caches: %d KiB for each of %d entries, and %d KiB more after %d others", first/size>>10, size, more>>10, 4*size)
	if first > size*12<<10 || more > size*2<<10 {
		t.Errorf("%d bytes, and %d more", first, more)
	}
	if a, i := w.finder.Remembered(); a > size || i > size {
		t.Errorf("%d addresses and %d issuers, want at most %d", a, i, size)
	}
	runtime.KeepAlive(w)
}

func TestSEC_09_LongURLsOfStrangers(t *testing.T) {
	for n, ok := range map[int]bool{1024: true, 1025: false} {
		path := strings.Repeat("x", n-len(bobsIssuer)-1)
		op := fakeop.New(t, fakeop.Config{Issuer: bobsIssuer + "/" + path})
		w := newPatient(t, op, discovery.Config{})
		if _, err := w.find(bob); (err == nil) != ok {
			t.Errorf("issuer of %d characters: %v", n, err)
		}
		op = fakeop.New(t, fakeop.Config{})
		op.Edit(func(doc map[string]any) { doc["jwks_uri"] = bobsIssuer + "/" + path })
		w = newPatient(t, op, discovery.Config{})
		if _, err := w.find(bob); (err == nil) != ok {
			t.Errorf("jwks_uri of %d characters: %v", n, err)
		}
	}
}

// What is remembered of a failure holds nothing of the answer.
func TestSEC_09_FailuresAreSmall(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	w := newPatient(t, op, discovery.Config{})
	for i := range 200 {
		op.Misbehave("/"+strconv.Itoa(i)+fakeop.Configuration, fakeop.JSON("application/json", map[string]any{
			"issuer": "https://" + strings.Repeat("x", 60_000), "jwks_uri": bobsIssuer + "/jwks",
		}))
	}
	op.Link(func(resource string) (string, bool) {
		local, _, _ := cut(resource)
		return bobsIssuer + "/" + local, true
	})
	before := heap()
	for i := range 200 {
		w.wantErr(strconv.Itoa(i)+"@bob.example", discovery.ErrNoIssuer)
	}
	op.Forget()
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("200 failures take %d KiB", grown>>10)
	}
	if _, err := w.find("7@bob.example"); err == nil || len(err.Error()) > 200 {
		t.Errorf("remembered: %v", err)
	}
	runtime.KeepAlive(w)
}

func BenchmarkFindWarm(b *testing.B) {
	op := fakeop.New(b, fakeop.Config{})
	w := newBench(b, op)
	a := address(b, bob)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.finder.Find(b.Context(), a, discovery.Query{Source: "192.0.2.1"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFindWarmParallel(b *testing.B) {
	w := newBench(b, fakeop.New(b, fakeop.Config{}))
	a := address(b, bob)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.finder.Find(b.Context(), a, discovery.Query{}); err != nil {
				b.Error(err)
			}
		}
	})
}

// A token that is refuted costs one signature check.
func BenchmarkTry(b *testing.B) {
	op := fakeop.New(b, fakeop.Config{})
	w := newBench(b, op)
	token, err := jose.Parse(op.Forge(map[string]any{"sub": "1"}, discovery.DefaultTyp), 16<<10)
	if err != nil {
		b.Fatal(err)
	}
	a := address(b, bob)
	b.ReportAllocs()
	for b.Loop() {
		if forged, _ := w.finder.Try(b.Context(), a, token); !forged {
			b.Fatal("not refuted")
		}
	}
}

// newBench knows Bob and his keys.
func newBench(b *testing.B, op *fakeop.OP) *world {
	b.Helper()
	w := newPatient(b, op, discovery.Config{})
	w.grant(bob)
	return w
}
