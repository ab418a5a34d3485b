package umaapp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/finding"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
)

// found is what is said of a subject: level, check, what.
func found(t *testing.T, a *App, subject string) []string {
	t.Helper()
	all, ok := a.Examine(t.Context())
	if !ok {
		t.Fatal("somebody else examines")
	}
	var text []string
	for _, f := range all {
		if f.Subject == subject {
			text = append(text, string(f.Level)+" "+f.Check+": "+f.What)
		}
		if well := f.Level == finding.OK; well != (f.Cause == "") || well != (f.Cure == "") {
			t.Errorf("cause and cure: %+v", f)
		}
	}
	return text
}

func TestExamineStoreAndKeys(t *testing.T) {
	c := newCluster(t, t.TempDir())
	a := c.apps[0]
	want := []string{"ok store: it can be written, and its format is that of this program"}
	if diff := cmp.Diff(want, found(t, a, "store")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"ok keys: there are keys"}, found(t, a, "uma_server "+alice)); diff != "" {
		t.Error(diff)
	}
	c.disk.FailBefore(func(storetest.Call) bool { return true })
	want = []string{"failure store: the store cannot be written, so nothing can be issued"}
	if diff := cmp.Diff(want, found(t, a, "store")); diff != "" {
		t.Error(diff)
	}
}

// The clock of the database, if it differs; the store is well all the same.
func TestExamineClockOfTheStore(t *testing.T) {
	const well, differ = "ok store: it can be written, and its format is that of this program", " clock: the clocks of this node and of the database differ"
	for ahead, want := range map[time.Duration][]string{
		59 * time.Second: {well}, 2 * time.Minute: {"warning" + differ, well}, -5 * time.Minute: {"failure" + differ, well},
	} {
		c := newCluster(t, t.TempDir())
		a := c.apps[0]
		right := a.now
		a.store = newLazyStore(someStore{key: t.Name() + ahead.String(), open: timed{c.disk, right}})
		a.now = func() time.Time { return right().Add(ahead) }
		if diff := cmp.Diff(want, found(t, a, "store")); diff != "" {
			t.Errorf("%v: %s", ahead, diff)
		}
	}
}

// SEC-11: nodes that share a store have the same keys.
func TestSEC_11_ExamineNodes(t *testing.T) {
	storage := t.TempDir()
	c := newCluster(t, storage, storage, t.TempDir())
	for _, a := range c.apps[:2] {
		if err := a.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("SEC-11 the same keys", func(t *testing.T) {
		if diff := cmp.Diff([]string{"ok nodes: the nodes that use this store share their keys"}, found(t, c.apps[0], "nodes")); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("SEC-11 other keys", func(t *testing.T) {
		if diff := cmp.Diff([]string{"failure nodes: this node has other keys than most"}, found(t, c.apps[2], "nodes")); diff != "" {
			t.Error(diff)
		}
	})
	c.now = c.now.Add(time.Second)
	t.Run("SEC-11 those that stay are told, too", func(t *testing.T) {
		if diff := cmp.Diff([]string{"failure nodes: another node has other keys than this one"}, found(t, c.apps[0], "nodes")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSayNodes(t *testing.T) {
	l := finding.List{}
	sayNodes(&l, neighbours{newer: differences{{"BBBB", "two", alice}}})
	if len(l.All) != 2 || l.All[0].Level != finding.OK || l.All[1].Level != finding.Warning || l.All[1].Cause != "they were loaded later there: BBBB two ("+alice+")" {
		t.Errorf("%+v", l.All)
	}
}

func TestExamineExceptions(t *testing.T) {
	a := &App{ConnectTo: map[string]string{"a.example:443": "127.0.0.1:8443", "b.example:443": "203.0.113.7:443", "c.example:443": "[fd00::1]:443"}}
	var got []string
	for _, f := range a.examineExceptions(t.Context()) {
		got = append(got, string(f.Level)+" "+strings.Fields(f.What)[1])
	}
	if diff := cmp.Diff([]string{"warning a.example:443", "warning c.example:443"}, got); diff != "" {
		t.Error(diff)
	}
}

// alone is an app with nothing of its own to examine.
func alone(parts ...Examine) *App {
	a := &App{ctx: caddy.Context{Context: context.Background()}, log: zap.NewNop(), now: time.Now}
	a.registry.doctor.own.Do(func() {})
	for _, p := range parts {
		a.RegisterExamine(p)
	}
	return a
}

func says(text string) Examine {
	return func(context.Context) []finding.Finding {
		l := finding.List{Subject: "x"}
		l.OK("x", "%s", text)
		return l.All
	}
}

// A part that breaks off, or does not come to an end, hides nothing of the others.
func TestExamineBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		hanging := func(context.Context) []finding.Finding { <-end; return nil }
		a := alone(says("first"), func(context.Context) []finding.Finding { panic("secret") }, hanging, says("last"))
		want := []string{"failure doctor panic", "failure doctor time", "ok x x", "ok x x"}
		for _, when := range []string{"once", "again, while it still hangs"} {
			all, ok := a.Examine(t.Context())
			var got []string
			for _, f := range all {
				got = append(got, fmt.Sprint(f.Level, " ", f.Subject, " ", f.Check))
				if strings.Contains(fmt.Sprint(f), "secret") {
					t.Errorf("%+v", f)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" || !ok {
				t.Errorf("%s: %s", when, diff)
			}
		}
		close(end)
		synctest.Wait()
	})
}

func TestExamineOneAtATime(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	a := alone(func(context.Context) []finding.Finding { close(begun); <-end; return nil })
	done := make(chan bool)
	go func() { _, ok := a.Examine(t.Context()); done <- ok }()
	<-begun
	if _, ok := a.Examine(t.Context()); ok {
		t.Error("two at a time")
	}
	close(end)
	if ok := <-done; !ok {
		t.Error("the first one was refused")
	}
}

// Whoever loads another configuration does not wait for an examination of the old one.
func TestExamineReplaced(t *testing.T) {
	ctx, replace := context.WithCancel(t.Context())
	a := alone(says("well"), func(ctx context.Context) []finding.Finding { replace(); <-ctx.Done(); return nil })
	a.ctx = caddy.Context{Context: ctx}
	all, ok := a.Examine(t.Context())
	if !ok || len(all) != 1 || all[0].Level != finding.Failure || all[0].Check != "reload" {
		t.Errorf("%v, %+v", ok, all)
	}
}

func TestExamineMany(t *testing.T) {
	a := alone(func(context.Context) []finding.Finding {
		l := finding.List{Subject: "x"}
		for i := range maxFindings + 5 {
			l.OK("x", "%d", i)
		}
		return l.All
	})
	all, _ := a.Examine(t.Context())
	if len(all) != maxFindings+1 || !strings.Contains(all[maxFindings].What, "5 more") {
		t.Errorf("%d, %+v", len(all), all[len(all)-1])
	}
}

// Without sites there is nothing to look at.
func TestExamineSitesWithout(t *testing.T) {
	a := &App{ctx: contextWithStorage(t, t.TempDir())}
	if got := a.examineSites(t.Context()); len(got) != 1 || got[0].Level != finding.Warning {
		t.Errorf("%+v", got)
	}
}
