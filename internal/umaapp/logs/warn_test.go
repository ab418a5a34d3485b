package logs_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// umaSite is a handler of the tests that passes for one of our directives.
type umaSite struct{}

var registerSite = sync.OnceFunc(func() { caddy.RegisterModule(new(umaSite)) })

func (*umaSite) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.uma_test_site", New: func() caddy.Module { return new(umaSite) }}
}

func (*umaSite) Provision(ctx caddy.Context) error {
	_, err := umaapp.Get(ctx)
	return err
}

func (*umaSite) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

// siteRoute is the route of a site, as the Caddyfile makes it.
func siteRoute(host, handler string) map[string]any {
	route := map[string]any{
		"handle": []any{map[string]any{"handler": "subroute", "routes": []any{map[string]any{"handle": []any{map[string]any{"handler": handler}}}}}},
	}
	if host != "" {
		route["match"] = []any{map[string]any{"host": []any{host}}}
	}
	return route
}

// TestSEC_22_Warning: at load a site with our directives whose access log lacks the
// filter is warned with the lines to paste; other sites are not.
func TestSEC_22_Warning(t *testing.T) {
	registerSite()
	type m = map[string]any
	filter, plain := m{"format": "uma_filter"}, m{"format": "json"}
	byHand := m{"format": "filter", "fields": m{"request>headers>Dpop": m{"filter": "delete"}, "resp_headers>Www-Authenticate": m{"filter": "delete"}}}
	halfByHand := m{"format": "filter", "fields": m{"request>headers>Dpop": m{"filter": "delete"}}}
	const site, rest, debug = "put the filter into the site's log directive", "(5xx) show credentials", "at DEBUG the log shows credentials"
	for _, tc := range []struct {
		name           string
		access, others m // encoders
		host           string
		handler        string
		logs           m
		level          string
		want           []string
	}{
		{name: "both filtered", access: filter, others: filter},
		{name: "a plain access log", access: plain, others: filter, want: []string{site}},
		{name: "a plain default log", access: filter, others: plain, want: []string{rest}},
		{name: "a plain default log at DEBUG", access: filter, others: plain, level: "DEBUG", want: []string{debug}},
		{name: "both plain", access: plain, others: plain, want: []string{rest, site}},
		{name: "no access log", others: filter, logs: m{}},
		{name: "a filter by hand", access: byHand, others: filter},
		{name: "half a filter by hand", access: halfByHand, others: filter, want: []string{site}},
		{name: "below a chain", access: m{"format": "uma_chain", "wrap": filter}, others: filter},
		{name: "a chain alone", access: m{"format": "uma_chain"}, others: filter, want: []string{site}},
		{name: "of another site", access: plain, others: filter, host: "other.example"},
		{name: "of a site without a host", access: plain, others: filter, host: "-", want: []string{site}},
		{name: "of a wildcard", access: plain, others: filter, logs: m{"logger_names": m{"*.alice.example": []string{"log0"}}}, want: []string{site}},
		{name: "of all hosts", access: plain, others: filter, logs: m{"default_logger_name": "log0"}, want: []string{site}},
		{name: "of skipped hosts", access: plain, others: filter, logs: m{"default_logger_name": "log0", "skip_hosts": []string{"as.alice.example"}}},
		{name: "without our directives", access: plain, others: plain, handler: "static_response"},
	} {
		t.Run("SEC-22 "+tc.name, func(t *testing.T) {
			dir := t.TempDir()
			host, handler, logs := "as.alice.example", "uma_test_site", tc.logs
			if tc.handler != "" {
				handler = tc.handler
			}
			mapped := host
			switch tc.host {
			case "":
			case "-":
				host = ""
			default:
				host = tc.host
			}
			if logs == nil {
				logs = m{"logger_names": m{mapped: []string{"log0"}}}
			}
			all := m{"default": m{
				"writer": m{"output": "file", "filename": filepath.Join(dir, "log")}, "encoder": tc.others,
				"exclude": []string{"http.log.access.log0"}, "level": tc.level,
			}}
			if tc.access != nil {
				all["log0"] = m{"writer": m{"output": "file", "filename": filepath.Join(dir, "access")}, "encoder": tc.access, "include": []string{"http.log.access.log0"}}
			}
			server := m{
				"listen": []string{"127.0.0.1:0"}, "automatic_https": m{"disable": true}, "logs": logs,
				"routes": []any{siteRoute(host, handler), siteRoute("plain.example", "static_response")},
			}
			if len(logs) == 0 {
				delete(server, "logs")
			}
			text, err := json.Marshal(m{
				"admin": m{"disabled": true, "config": m{"persist": false}}, "logging": m{"logs": all},
				"apps": m{"uma": m{}, "http": m{"servers": m{"srv0": server}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := caddy.Load(text, true); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = caddy.Stop() })
			checkWarnings(t, filepath.Join(dir, "log"), tc.want)
			if access, err := os.ReadFile(filepath.Join(dir, "access")); err == nil && len(access) > 0 {
				t.Errorf("looking wrote a line: %s", access)
			}
		})
	}
}

func checkWarnings(t *testing.T, file string, want []string) {
	t.Helper()
	log, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, `"logger":"uma"`) && strings.Contains(line, "put the filter into") {
			found++
			if !strings.Contains(line, `format uma_filter`) {
				t.Errorf("no lines to paste: %s", line)
			}
		}
	}
	if found != len(want) {
		t.Errorf("%d warnings, want %d: %s", found, len(want), log)
	}
	for _, text := range want {
		if !strings.Contains(string(log), text) {
			t.Errorf("no warning %q in %s", text, log)
		}
	}
}
