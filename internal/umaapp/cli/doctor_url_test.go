package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
	"github.com/caddy-uma/caddy-uma/internal/finding"
)

func TestDoctorURL(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		name   string
		args   []string
		code   int
		stdout []string
	}{
		{
			"protected",
			[]string{"--address", w.admin, w.url("api") + "/x?secret=1"},
			0,
			[]string{
				w.url("api") + "/x\n", "ok       api.localhost:" + w.port + " -> client: 401, as_uri " + w.url("as"),
				"ok       metadata of the resource at " + w.url("api"), "ok       metadata of " + w.url("as"), "caddy uma get --user EMAIL goes on", "All is well",
			},
		},
		{"a page of anybody", []string{"--address", w.admin, w.url("bob") + "/.well-known/webfinger"}, 1, []string{"is not protected", "it answers 200 OK", "put uma_protect before"}},
		{"JSON", []string{"--json", "--cacert", w.caFile, "--address", w.admin, w.url("bob") + "/.well-known/webfinger"}, 1, []string{`"verdict": "failure"`, `"check": "challenge"`}},
		{"down", []string{"--address", w.admin, "https://api.localhost:1/"}, 3, []string{"api.localhost:1 cannot be reached", "nothing listens at", "Failures: 1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, stdout, stderr := caddyUMA(t, "", "", append([]string{"doctor"}, tc.args...)...)
			if code != tc.code || strings.Contains(stdout, "secret") || code != 3 && stderr != "" {
				t.Errorf("exit %d, %s, %s", code, stdout, stderr)
			}
			for _, want := range tc.stdout {
				if !strings.Contains(stdout, want) {
					t.Errorf("want %q in\n%s", want, stdout)
				}
			}
		})
	}
}

func TestDoctorURLAnswers(t *testing.T) {
	for _, tc := range []struct {
		status int
		header http.Header
		want   []string
	}{
		{204, nil, []string{"not protected", "204 No Content"}},
		{302, http.Header{"Location": {"https://login.example/a?token=secret#x"}}, []string{"this is not the resource", "leads to https://login.example/a", "follow no redirect"}},
		{302, http.Header{"Location": {"https://[secret"}}, []string{"what is no URL"}},
		{401, http.Header{"Www-Authenticate": {"Basic realm=x"}}, []string{"something else than an RPT", "basic_auth"}},
		{403, http.Header{"Warning": {`199 - "UMA Authorization Server Unreachable"`}}, []string{"gets no permission ticket", "caddy uma doctor at the Caddy"}},
		{403, nil, []string{"before any token is asked for", "403 Forbidden"}},
		{404, nil, []string{"before any token is asked for", "404 Not Found"}},
		{502, nil, []string{"in trouble", "502 Bad Gateway"}},
	} {
		v := new(visit)
		v.answered(&http.Response{StatusCode: tc.status, Header: tc.header})
		saysOne(t, v, finding.Failure, tc.want...)
	}
}

func TestDoctorURLEnds(t *testing.T) {
	for _, tc := range []struct {
		err   error
		level finding.Level
		want  []string
	}{
		{&rqp.StepError{Code: rqp.CodeNoIdentity, Step: 4, Hint: "--user"}, finding.OK, []string{"caddy uma get"}},
		{&rqp.StepError{Code: rqp.CodeUnreachable, Who: "as.example", Err: syscall.ECONNREFUSED}, finding.Failure, []string{"as.example cannot be reached", "nothing listens"}},
		{
			&rqp.StepError{Code: rqp.CodeUntrusted, Step: 2, Name: "checking the authorization server", Description: "the metadata are of another issuer", Hint: "asking who runs it"},
			finding.Failure,
			[]string{"a client stops here: checking the authorization server failed", "another issuer", "asking who runs it"},
		},
		{&rqp.StepError{Code: rqp.CodeBadAnswer, Status: 500, Description: "no JSON object"}, finding.Failure, []string{"no JSON object (status 500)", "caddy uma doctor, at its Caddy"}},
		{errors.New("odd"), finding.Failure, []string{"odd", "look at the URL"}},
	} {
		v := new(visit)
		v.ended(tc.err)
		saysOne(t, v, tc.level, tc.want...)
	}
}

// What a stranger wrote does not steer the terminal, in JSON neither.
func TestDoctorURLPlain(t *testing.T) {
	cmd := new(cobra.Command)
	var out strings.Builder
	cmd.SetOut(&out)
	v := &visit{List: finding.List{Subject: "https://api.example/\u202e"}}
	v.ended(&rqp.StepError{Code: rqp.CodeUntrusted, Description: "\u009b31m"})
	d := doctorOptions{json: true}
	if err := d.printVisit(cmd, v); !errors.Is(err, errRefused) {
		t.Error(err)
	}
	if strings.ContainsAny(out.String(), "\u009b\u202e") || !json.Valid([]byte(out.String())) || !strings.Contains(out.String(), "31m") {
		t.Errorf("%q", out.String())
	}
}

func saysOne(t *testing.T, v *visit, level finding.Level, want ...string) {
	t.Helper()
	if len(v.All) != 1 || v.All[0].Level != level || (level != finding.OK) != (v.All[0].Cause != "" && v.All[0].Cure != "") {
		t.Fatalf("%+v", v.All)
	}
	text := fmt.Sprint(v.All[0])
	for _, part := range want {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in %s", part, text)
		}
	}
	if strings.Contains(text, "secret") {
		t.Error(text)
	}
}
