package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

func TestMain(m *testing.M) {
	caddy.RegisterModule(new(countedBolt))
	os.Exit(m.Run())
}

func TestBetween(t *testing.T) {
	const tables = "| a |\n"
	for _, tc := range []struct{ name, text, want string }{
		{"new file", "", tables},
		{"marks", "x\n" + markBegin + "\nold\n" + markEnd + "\ny\n", "x\n" + markBegin + "\n\n" + tables + markEnd + "\ny\n"},
		{"one mark", "x\n" + markBegin + "\nold\n", tables},
	} {
		if got := between(tc.text, tables); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	r := results{
		machine:  newMachine(9, 2*time.Second),
		outcomes: []outcome{{Pair: "warm", Base: medium{Name: "reverse_proxy", PerSecond: 100}, X: medium{Name: "uma_protect", PerSecond: 97}, Speed: spread{0.96, 0.97, 0.98}, CPU: spread{1, 1.02, 1.03}}},
		damages:  []damage{{Flood: "401s", Requests: 10, MayStore: 3}},
		verdicts: []verdict{{Goal: "warm: speed at least 0.95", Value: 0.97, Held: true}, {Goal: "x", Value: 1}},
	}
	got := r.markdown()
	for _, want := range []string{
		"9 pairs of 2s", "| warm: uma_protect | 97 |", "**0.97** (0.96 to 0.98) | **1.02** (1.00 to 1.03)",
		"| 401s | 10 |", "| warm: speed at least 0.95 | 0.97 | 0 % | held |", "| **missed** |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	empty := results{machine: r.machine}
	if strings.Contains(empty.markdown(), "|") {
		t.Error("tables of nothing")
	}
}

func TestCompare(t *testing.T) {
	var order []string
	fake := func(name string, perSecond, cpu float64) side {
		return side{name, func(time.Duration) (sample, error) {
			order = append(order, name)
			return sample{Ops: 1, PerSecond: perSecond, CPU: cpu}, nil
		}}
	}
	var out bytes.Buffer
	p := pair{name: "p", base: fake("base", 100, 10), x: fake("x", 80, 15)}
	o, err := p.compare(3, time.Millisecond, lines(&out))
	if err != nil {
		t.Fatal(err)
	}
	if o.Speed.Median != 0.8 || o.CPU.Median != 1.5 {
		t.Errorf("%+v", o)
	}
	if got, want := strings.Join(order, " "), "base x base x base x base x"; got != want { // the first two warm up
		t.Errorf("order %q, want %q", got, want)
	}
	decoder := json.NewDecoder(&out)
	for i := range 6 {
		var s sample
		if err := decoder.Decode(&s); err != nil || s.Kind != "sample" || s.Round != i/2+1 {
			t.Errorf("line %d: %+v, %v", i, s, err)
		}
	}
}

// TestCaddyfile adapts what the servers are started with.
func TestCaddyfile(t *testing.T) {
	p, err := takePorts()
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]settings{
		"main":   {Ports: p, RemoteTLS: "1", RemoteRoot: "/tmp/root.crt", Instances: knowsInstances()},
		"remote": {Ports: p, AccessLog: "/tmp/log"},
	} {
		s.Storage, s.DB, s.Upstream, s.Secret, s.ChallengeBody = "/tmp/storage", "/tmp/db", "127.0.0.1:1", strings.Repeat("x", 52), "{}"
		text, err := s.render()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, nil); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

func TestParseFlags(t *testing.T) {
	o, err := parseFlags([]string{"-short", "-only", "warm"}, new(bytes.Buffer))
	if err != nil || o.rounds != 3 || o.each != 300*time.Millisecond || o.floods != 0 || o.judge || !o.only.MatchString("warm") {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parseFlags(nil, new(bytes.Buffer)); err != nil || o.rounds < 9 || o.each < 2*time.Second || o.floods != 1_000_000 || !o.judge {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{{"-only", "("}, {"x"}, {"-rounds", "0"}, {"-each", "-1s"}, {"-nope"}} {
		if _, err := parseFlags(args, new(bytes.Buffer)); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}
