package statuslist_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/statuslist"
)

const (
	issuer = "https://as.example"
	uri    = issuer + "/uma/status/1"
)

// keys is a key set that can be changed.
type keys struct {
	mu  sync.Mutex
	key josetest.Keypair
}

func (k *keys) Key(ctx context.Context, kid, alg string) (jose.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key.Key(ctx, kid, alg)
}

// world is an issuer with one list, a cache and a clock.
type world struct {
	t     *testing.T
	keys  *keys
	cache *statuslist.Cache

	mu      sync.Mutex
	now     time.Time
	revoked []int64
	size    int64
	seq     int64
	edit    func(header, claims map[string]any) // of the next tokens
	fail    error
	fetches int
	etags   []string
	gate    chan struct{} // if set, a fetch waits for it
	lost    int
}

func newWorld(t *testing.T, cfg statuslist.Config) *world {
	t.Helper()
	w := &world{t: t, keys: &keys{key: josetest.NewKeypair("k1")}, now: time.Unix(1_800_000_000, 0), size: 64, seq: 1}
	cfg.Issuer, cfg.Fetch = issuer, w.fetch
	cfg.Now = func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
	cfg.Lost = func(context.Context, string, error) { w.mu.Lock(); defer w.mu.Unlock(); w.lost++ }
	var err error
	if w.cache, err = statuslist.NewCache(cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) fetch(_ context.Context, at, etag string) (statuslist.Answer, error) {
	w.mu.Lock()
	w.fetches++
	w.etags = append(w.etags, etag)
	gate := w.gate
	w.mu.Unlock()
	if gate != nil {
		<-gate
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return statuslist.Answer{}, w.fail
	}
	tag := fmt.Sprintf("%d-%d", w.seq, w.size)
	if etag == tag && w.edit == nil {
		return statuslist.Answer{Unchanged: true}, nil
	}
	list, err := statuslist.New(w.size)
	if err != nil {
		return statuslist.Answer{}, err
	}
	for _, i := range w.revoked {
		_ = list.Revoke(i)
	}
	encoded, _ := list.Encode()
	header := map[string]any{"typ": statuslist.Type}
	claims := map[string]any{
		"iss": issuer, "sub": at, "iat": w.now.Unix(), "seq": w.seq, "exp": w.now.Add(time.Hour).Unix(),
		"status_list": map[string]any{"bits": encoded.Bits, "lst": encoded.List},
	}
	if w.edit != nil {
		w.edit(header, claims)
	}
	return statuslist.Answer{Token: w.keys.key.Sign(header, claims), ETag: tag}, nil
}

func (w *world) do(f func()) { w.mu.Lock(); defer w.mu.Unlock(); f() }

func (w *world) fetched() (n int) {
	w.do(func() { n = w.fetches })
	return n
}

func (w *world) pass(d time.Duration) { w.do(func() { w.now = w.now.Add(d) }) }

func (w *world) revoke(i int64) {
	w.do(func() { w.revoked = append(w.revoked, i); w.seq++ })
}

func (w *world) check(i int64) error {
	w.t.Helper()
	return w.cache.Check(context.Background(), w.keys, statuslist.Reference{Index: i, URI: uri})
}

func (w *world) want(i int64, want error) {
	w.t.Helper()
	if err := w.check(i); !errors.Is(err, want) || (want == nil) != (err == nil) {
		w.t.Fatalf("index %d: %v, want %v", i, err, want)
	}
}

// settle waits for a reading that nobody waited for.
func (w *world) settle(fetches int) {
	w.t.Helper()
	for range 2000 {
		n := 0
		if w.do(func() { n = w.fetches }); n >= fetches {
			return
		}
		time.Sleep(time.Millisecond)
	}
	w.t.Fatalf("not %d fetches", fetches)
}

func TestRevokedWithinTheBound(t *testing.T) {
	w := newWorld(t, statuslist.Config{MaxAge: 10 * time.Second})
	w.want(3, nil)
	w.want(4, nil)
	if w.fetches != 1 {
		t.Fatalf("%d fetches for two checks", w.fetches)
	}
	w.revoke(3)
	w.pass(4900 * time.Millisecond)
	w.want(3, nil) // the bound is ten seconds
	w.pass(5100 * time.Millisecond)
	w.want(3, statuslist.ErrRevoked)
	w.want(4, nil)
}

// A list in use is read before it is too old, and nobody waits for that.
func TestReadAgainInTime(t *testing.T) {
	w := newWorld(t, statuslist.Config{MaxAge: 10 * time.Second})
	w.want(3, nil)
	w.do(func() { w.gate = make(chan struct{}) })
	w.pass(6 * time.Second)
	w.want(3, nil) // the reading hangs, this does not
	w.settle(2)
	close(w.gate)
	if w.etags[0] != "" || w.etags[1] != "1-64" {
		t.Errorf("etags %q", w.etags)
	}
}

func TestNothingBeforeTheFirstList(t *testing.T) {
	for _, open := range []bool{false, true} {
		w := newWorld(t, statuslist.Config{MaxAge: 10 * time.Second, FailOpen: open})
		w.fail = errors.New("down")
		w.want(3, statuslist.ErrLost)
		w.want(3, statuslist.ErrLost)
		if w.fetches != 1 {
			t.Errorf("%d fetches within the pause", w.fetches)
		}
		w.do(func() { w.fail = nil })
		w.pass(statuslist.Pause)
		w.want(3, nil)
	}
}

func TestLost(t *testing.T) {
	for _, open := range []bool{false, true} {
		w := newWorld(t, statuslist.Config{MaxAge: 10 * time.Second, FailOpen: open})
		w.want(3, nil)
		w.do(func() { w.fail = errors.New("down") })
		w.pass(10 * time.Second)
		w.want(3, nil) // waits for the attempt, then goes on with what there is
		w.pass(19 * time.Second)
		w.want(3, nil)
		w.settle(3)
		w.pass(time.Second)
		if open {
			w.want(3, nil)
			w.pass(time.Hour)
			w.want(3, nil)
		} else {
			w.want(3, statuslist.ErrLost)
			w.pass(2 * time.Second)
			w.want(3, statuslist.ErrLost)
		}
		w.do(func() {
			if w.lost < 1 {
				t.Error("nobody was told")
			}
		})
	}
}

func TestWhatIsNoNewerList(t *testing.T) {
	cases := map[string]func(h, c map[string]any){
		"sequence back": func(_, c map[string]any) { c["seq"] = 1 },
		"no sequence":   func(_, c map[string]any) { delete(c, "seq") },
		"no iat":        func(_, c map[string]any) { delete(c, "iat") },
		"of the future": func(_, c map[string]any) { c["iat"] = 1_900_000_000 },
		"expired":       func(_, c map[string]any) { c["exp"] = 1_799_990_000 },
		"other list":    func(_, c map[string]any) { c["sub"] = issuer + "/uma/status/2" },
		"other issuer":  func(_, c map[string]any) { c["iss"] = "https://evil.example" },
		"other typ":     func(h, _ map[string]any) { h["typ"] = "at+jwt" },
		"other key":     func(h, _ map[string]any) { h["kid"] = "k9" },
		"no list":       func(_, c map[string]any) { delete(c, "status_list") },
		"HS256":         func(h, _ map[string]any) { h["alg"] = "HS256" },
	}
	for name, edit := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, statuslist.Config{MaxAge: 10 * time.Second})
			w.revoke(3)
			w.want(3, statuslist.ErrRevoked)
			w.revoke(4)
			w.do(func() { w.edit = edit })
			w.pass(10 * time.Second)
			w.want(4, nil) // the old list goes on for a while
			if w.lost != 1 {
				t.Error("accepted")
			}
			w.pass(20 * time.Second)
			w.want(4, statuslist.ErrLost)
			w.do(func() { w.edit = nil })
			w.pass(10 * time.Second)
			w.settle(3)
			for range 2000 { // the reading that works again may be nobody's to wait for
				if errors.Is(w.check(4), statuslist.ErrRevoked) {
					return
				}
				time.Sleep(time.Millisecond)
				w.pass(time.Second)
			}
			t.Error("never recovered")
		})
	}
}

// A list whose key has left the key set is asked for anew, and not only whether it
// is still the same.
func TestListDiesWithItsKey(t *testing.T) {
	w := newWorld(t, statuslist.Config{MaxAge: 10 * time.Second})
	w.want(3, nil)
	w.keys.mu.Lock()
	w.keys.key = josetest.NewKeypair("k1") // same name, another key
	w.keys.mu.Unlock()
	w.pass(10 * time.Second)
	w.want(3, nil)
	if len(w.etags) != 2 || w.etags[1] != "" {
		t.Errorf("etags %q", w.etags)
	}
}

// The issuer answers "unchanged" although nothing was shown.
func TestUnchangedWithoutAList(t *testing.T) {
	w := newWorld(t, statuslist.Config{})
	c, err := statuslist.NewCache(statuslist.Config{
		Issuer: issuer, Now: func() time.Time { return w.now },
		Fetch: func(context.Context, string, string) (statuslist.Answer, error) {
			return statuslist.Answer{Unchanged: true}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(context.Background(), w.keys, statuslist.Reference{URI: uri}); !errors.Is(err, statuslist.ErrLost) {
		t.Error(err)
	}
}

func TestTokenNewerThanTheList(t *testing.T) {
	w := newWorld(t, statuslist.Config{MaxAge: 10 * time.Second})
	w.want(3, nil)
	w.do(func() { w.size = 128 })
	w.want(100, statuslist.ErrNotListed) // just read: no second reading
	w.pass(statuslist.Pause)
	w.want(100, nil)
	w.want(-1, statuslist.ErrNotListed)
	w.want(1<<40, statuslist.ErrNotListed)
}

// A hundred tokens at once are one reading, and a caller that leaves leaves alone.
func TestOneReading(t *testing.T) {
	w := newWorld(t, statuslist.Config{})
	w.gate = make(chan struct{})
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.cache.Check(gone, w.keys, statuslist.Reference{Index: 1, URI: uri}); !errors.Is(err, statuslist.ErrLost) {
		t.Errorf("a caller that left: %v", err)
	}
	var wg sync.WaitGroup
	for i := range int64(50) {
		wg.Go(func() {
			if err := w.check(i); err != nil {
				t.Errorf("index %d: %v", i, err)
			}
		})
	}
	close(w.gate)
	wg.Wait()
	if w.fetches != 1 {
		t.Errorf("%d fetches", w.fetches)
	}
}

func TestPanicInFetch(t *testing.T) {
	w := newWorld(t, statuslist.Config{})
	c, err := statuslist.NewCache(statuslist.Config{
		Issuer: issuer, Now: func() time.Time { return w.now },
		Fetch: func(context.Context, string, string) (statuslist.Answer, error) { panic("ouch") },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(context.Background(), w.keys, statuslist.Reference{URI: uri}); !errors.Is(err, statuslist.ErrLost) {
		t.Error(err)
	}
}

func TestClockSetBack(t *testing.T) {
	w := newWorld(t, statuslist.Config{MaxAge: 10 * time.Second})
	w.want(3, nil)
	w.revoke(4)
	w.do(func() { w.edit = func(_, c map[string]any) { c["iat"] = 1_800_000_000 } }) // the issuer's clock is right
	w.pass(-time.Hour)
	w.want(3, statuslist.ErrLost) // how old the list is cannot be told
	w.pass(time.Hour)
	w.want(3, nil)
}

// A failure of long ago says nothing about now: without traffic nobody has tried
// since, and what was revoked meanwhile must not pass.
func TestAnOldFailureIsNoExcuse(t *testing.T) {
	for _, open := range []bool{false, true} {
		w := newWorld(t, statuslist.Config{MaxAge: 10 * time.Second, FailOpen: open})
		w.want(3, nil)
		w.do(func() { w.fail = errors.New("down") })
		w.pass(10 * time.Second)
		w.want(3, nil)
		w.do(func() { w.fail = nil })
		w.revoke(3)
		if open {
			w.pass(8 * time.Hour)
		} else {
			w.pass(11 * time.Second)
		}
		w.want(3, statuslist.ErrRevoked)
	}
}

// Nodes of one issuer whose clocks differ: the later list may bear the earlier iat.
func TestSequenceCountsAndNotTheClock(t *testing.T) {
	w := newWorld(t, statuslist.Config{MaxAge: 10 * time.Second})
	w.do(func() { w.edit = func(_, c map[string]any) { c["iat"] = w.now.Unix() + 50 } })
	w.want(3, nil)
	w.revoke(3)
	w.do(func() { w.edit = func(_, c map[string]any) { c["iat"] = w.now.Unix() - 50 } })
	w.pass(10 * time.Second)
	w.want(3, statuslist.ErrRevoked)
}

// An issuer without sequences has its iat alone.
func TestIssuedAtCountsWithoutSequence(t *testing.T) {
	w := newWorld(t, statuslist.Config{MaxAge: 10 * time.Second})
	plain := func(_, c map[string]any) { delete(c, "seq") }
	w.do(func() { w.edit = plain })
	w.revoke(3)
	w.want(3, statuslist.ErrRevoked)
	w.do(func() {
		w.revoked = nil
		w.edit = func(h, c map[string]any) { plain(h, c); c["iat"] = 1_799_999_999 }
	})
	w.pass(10 * time.Second)
	w.want(3, statuslist.ErrRevoked)
	w.do(func() { w.edit = plain }) // it takes the revocation back itself
	w.pass(10 * time.Second)
	w.want(3, nil)
}

// Two nodes that read a long list while it grows may each miss something else. What
// was seen once stays.
func TestWhatWasRevokedStaysSo(t *testing.T) {
	w := newWorld(t, statuslist.Config{MaxAge: 10 * time.Second})
	w.revoke(3)
	w.want(3, statuslist.ErrRevoked)
	w.do(func() { w.revoked, w.seq = []int64{4, 5}, 3 })
	w.pass(10 * time.Second)
	w.want(4, statuslist.ErrRevoked)
	w.want(3, statuslist.ErrRevoked)
	w.do(func() { w.size, w.revoked, w.seq = 8, []int64{4, 5}, 4 })
	w.pass(10 * time.Second)
	w.want(3, statuslist.ErrRevoked)
	w.want(6, nil)
	w.want(60, statuslist.ErrNotListed)
}

// A place that is not whole is none: idx and uri are REQUIRED (§6.2).
func TestReferenceIsWhole(t *testing.T) {
	for text, good := range map[string]bool{
		`{"idx":7,"uri":"https://as.example/1"}`: true, `{"idx":0,"uri":"x"}`: true, `{"idx":7,"uri":"x","more":1}`: true,
		`{"uri":"x"}`: false, `{"idx":7}`: false, `{}`: false, `{"idx":null,"uri":"x"}`: false, `{"idx":7,"uri":null}`: false,
		`{"idx":1.5,"uri":"x"}`: false, `{"idx":1e1,"uri":"x"}`: false, `{"idx":9223372036854775808,"uri":"x"}`: false, `{"idx":"7","uri":"x"}`: false,
	} {
		var s statuslist.Status
		if err := json.Unmarshal([]byte(`{"status_list":`+text+`}`), &s); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}
