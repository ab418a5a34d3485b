package logs_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/chain"
)

const chainKey = "0123456789-the-key-of-the-chain-0123"

// startLog starts a Caddy that has nothing but a log, and gives its file.
func startLog(t *testing.T, file, encoder string) {
	t.Helper()
	name, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	config := `{"admin":{"disabled":true,"config":{"persist":false}},"logging":{"logs":{"default":{"level":"DEBUG",` +
		`"writer":{"output":"file","filename":` + string(name) + `},"encoder":` + encoder + `}}}}`
	if err := caddy.Load([]byte(config), true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
}

func verified(t *testing.T, file string, keys ...string) chain.Report {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, key := range keys {
		all = append(all, []byte(key))
	}
	v := chain.NewVerifier(all, nil)
	v.Read("log", bytes.NewReader(text))
	return v.Report()
}

// The chain goes on over a reload, and over loggers with fields of their own that
// write at once; after a restart another one begins behind the last line.
func TestSEC_22_ChainOfALog(t *testing.T) {
	t.Setenv("UMA_TEST_CHAIN", chainKey)
	file := filepath.Join(t.TempDir(), "log")
	const encoder = `{"format":"uma_chain","wrap":{"format":"json","time_format":"rfc3339"},"key":"{env.UMA_TEST_CHAIN}"}`
	startLog(t, file, encoder)
	var group sync.WaitGroup
	for i := range 8 {
		log := caddy.Log().With(zap.Int("writer", i), zap.Namespace("inner"))
		group.Go(func() {
			for n := range 200 {
				log.Info("line", zap.Int("n", n))
			}
		})
	}
	group.Wait()
	startLog(t, file, encoder)
	caddy.Log().Info("after a reload")
	r := verified(t, file, chainKey)
	if r.Count != 0 || len(r.Chains) != 1 || r.Chains[0].Lines < 1602 || !r.Chains[0].Keyed {
		t.Fatalf("%+v", r)
	}
	if plain := verified(t, file); plain.Count == 0 {
		t.Error("lines with a key pass without it")
	}

	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	startLog(t, file, encoder)
	caddy.Log().Info("after a restart")
	r = verified(t, file, chainKey)
	if r.Count != 0 || len(r.Chains) != 2 || len(r.Notes) != 0 {
		t.Fatalf("%+v", r)
	}
	cutBefore(t, file, r.Chains[1].Last.Chain)
	if r = verified(t, file, chainKey); r.Count == 0 {
		t.Error("the end of the first chain can be cut off")
	}
}

// What the writer of Caddy rolls and packs is one log.
func TestSEC_22_ChainOfRolledFiles(t *testing.T) {
	dir := t.TempDir()
	name, err := json.Marshal(filepath.Join(dir, "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	config := `{"admin":{"disabled":true,"config":{"persist":false}},"logging":{"logs":{"default":{"encoder":{"format":"uma_chain"},` +
		`"writer":{"output":"file","filename":` + string(name) + `,"roll_size_mb":1}}}}}`
	if err := caddy.Load([]byte(config), true); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 800)
	for range 2500 {
		caddy.Log().Info(long)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	var files []string
	for range 500 {
		files, err = filepath.Glob(filepath.Join(dir, "audit*"))
		if packed, _ := filepath.Glob(filepath.Join(dir, "*.gz")); err == nil && len(packed) > 0 && len(packed) == len(files)-1 {
			break
		}
		time.Sleep(20 * time.Millisecond) // the writer packs on its own
	}
	if len(files) < 3 {
		t.Fatalf("only %q", files)
	}
	v := chain.NewVerifier(nil, nil)
	for _, name := range files {
		f, err := os.Open(name) //nolint:gosec // a file of the test
		if err != nil {
			t.Fatal(err)
		}
		v.Read(name, f)
		_ = f.Close()
	}
	if r := v.Report(); r.Count != 0 || len(r.Chains) != 1 || r.Lines < 2500 || r.Chains[0].First != 1 {
		t.Errorf("%+v of %q", r, files)
	}
}

// cutBefore removes the line that a chain begins behind.
func cutBefore(t *testing.T, file, id string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), `"chain":{"id":"`+id+`","seq":1,"prev":"`)
	if !found {
		t.Fatal("the chain has no first line")
	}
	before, _, _ := strings.Cut(rest, `"`)
	var kept strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, `"mac":"`+before+"\"}}\n") {
			kept.WriteString(line)
		}
	}
	if kept.Len() == len(text) {
		t.Fatal("the line is not there")
	}
	if err := os.WriteFile(file, []byte(kept.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestChainRefusedAtLoad(t *testing.T) {
	for encoder, want := range map[string]string{
		`{"format":"uma_chain","wrap":{"format":"console"}}`:                   "write: format uma_chain json",
		`{"format":"uma_chain","wrap":{"format":"json","line_ending":"\r\n"}}`: "write: format uma_chain json",
		`{"format":"uma_chain","key":"short"}`:                                 "shorter than 32 characters",
		`{"format":"uma_chain","key":"{env.UMA_TEST_NOTHING}"}`:                "environment variable UMA_TEST_NOTHING is not set",
		`{"format":"uma_chain","key":"` + chainKey + `"}`:                      "",
		`{"format":"uma_chain"}`:                                               "",
	} {
		config := `{"admin":{"disabled":true},"logging":{"logs":{"default":{"encoder":` + encoder + `,"writer":{"output":"discard"}}}}}`
		var cfg caddy.Config
		if err := json.Unmarshal([]byte(config), &cfg); err != nil {
			t.Fatal(err)
		}
		err := caddy.Validate(&cfg)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", encoder, err, want)
		}
	}
}

// `caddy validate` beside a running server reads no log.
func TestEncodersInCaddyfiles(t *testing.T) {
	for _, tc := range []struct{ name, in, want, fault string }{
		{"chain", "format uma_chain", `{"format":"uma_chain"}`, ""},
		{"chain of json", "format uma_chain json", `{"format":"uma_chain","wrap":{"format":"json"}}`, ""},
		{"chain with a key", "format uma_chain json {\nkey {env.AUDIT_KEY}\n}", `{"format":"uma_chain","key":"{env.AUDIT_KEY}","wrap":{"format":"json"}}`, ""},
		{
			"chain around a filter", "format uma_chain {\nwrap uma_filter json\n}",
			`{"format":"uma_chain","wrap":{"format":"uma_filter","wrap":{"format":"json"}}}`, "",
		},
		{"wrap with a block", "format uma_filter {\nwrap json {\ntime_format rfc3339\n}\n}", `{"format":"uma_filter","wrap":{"format":"json","time_format":"rfc3339"}}`, ""},
		{"filter", "format uma_filter", `{"format":"uma_filter"}`, ""},
		{"filter for people", "format uma_filter console", `{"format":"uma_filter","wrap":{"format":"console"}}`, ""},
		{"unknown encoder", "format uma_chain jsom", "", "uma_chain: there is no log encoder 'jsom'; write: format uma_chain json"},
		{"spare argument", "format uma_filter json x", "", "wrong argument count"},
		{"unknown word", "format uma_chain {\nkee x\n}", "", "uma_chain: unknown subdirective 'kee', did you mean 'key'?"},
		{"wrap twice", "format uma_filter json {\nwrap console\n}", "", "uma_filter: wrap is set twice"},
		{"key twice", "format uma_chain {\nkey a\nkey b\n}", "", "uma_chain: key is set twice"},
		{"no encoder", "format uma_chain {\nwrap\n}", "", "wrong argument count"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\nlog {\n"+tc.in+"\n}\n}\n"), map[string]any{"filename": "Caddyfile"})
			if tc.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fault) {
					t.Fatalf("%v, want %q", err, tc.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var cfg struct {
				Logging struct {
					Logs map[string]struct{ Encoder json.RawMessage }
				}
			}
			if err := json.Unmarshal(raw, &cfg); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(cfg.Logging.Logs["default"].Encoder)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
