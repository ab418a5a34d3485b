package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// oidcProvider is the npm package oidc-provider in a process of its own: an OpenID
// provider that somebody else wrote.
type oidcProvider struct {
	t     *testing.T
	port  string
	stdin io.WriteCloser
	lines *bufio.Scanner
	wait  func() error // until it has ended
}

// oidcClient is a client as that provider wants it.
type oidcClient struct {
	ID            string   `json:"client_id"`
	Secret        string   `json:"client_secret,omitempty"`
	Method        string   `json:"token_endpoint_auth_method"`
	RedirectURIs  []string `json:"redirect_uris"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
	Type          string   `json:"application_type,omitempty"` // web, native
}

// oidcSettings are those of server.mjs.
type oidcSettings struct {
	Issuer        string       `json:"issuer"`
	Clients       []oidcClient `json:"clients"`
	Format        string       `json:"format"` // jwt, opaque
	ClaimsInToken bool         `json:"claims_in_token"`
}

// startOIDCProvider starts it; the test is skipped where there is no Node, and
// fails where services are required.
func startOIDCProvider(t *testing.T, settings oidcSettings) *oidcProvider {
	t.Helper()
	dir, err := oidcProviderDir()
	if err != nil {
		if os.Getenv("UMA_REQUIRE_SERVICES") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "node", "server.mjs")
	cmd.Dir, cmd.WaitDelay = dir, 10*time.Second
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p := &oidcProvider{t: t, stdin: stdin, lines: bufio.NewScanner(stdout), wait: sync.OnceValue(cmd.Wait)}
	t.Cleanup(p.stop)
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	p.port = strings.TrimPrefix(p.say(string(text)), "port ")
	return p
}

// stop ends it: it ends with its input.
func (p *oidcProvider) stop() {
	_ = p.stdin.Close()
	_ = p.wait()
}

// say sends a line and gives the next line of the answer.
func (p *oidcProvider) say(line string) string {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
	if !p.lines.Scan() {
		p.t.Fatalf("the OpenID provider does not answer: %v", p.lines.Err())
	}
	return p.lines.Text()
}

// oidcProviderDir installs the packages, once per run, outside of the sources.
var oidcProviderDir = sync.OnceValues(func() (string, error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", errors.New("no " + program)
		}
	}
	dir, err := os.MkdirTemp("", "caddy-uma-oidc-provider")
	if err != nil {
		return "", err
	}
	leftovers = append(leftovers, dir)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "oidc-provider"))); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return dir, nil
})

// leftovers are folders to remove when all tests are done.
var leftovers []string
