package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// server is a Caddy in a process of its own.
type server struct {
	settings settings
	dir      string
	logFile  string
	cmd      *exec.Cmd
	exited   chan struct{} // closed when the process has ended
	control  *http.Client
}

// startServer starts a Caddy with everything it writes below dir and, apart from
// that, the file of its documents. It returns when the server answers.
func startServer(dir string, s settings) (*server, error) {
	for _, sub := range []string{"", "home", "storage"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	s.Storage = filepath.Join(dir, "storage")
	text, err := s.render()
	if err != nil {
		return nil, err
	}
	config, socket := filepath.Join(dir, "Caddyfile"), filepath.Join(dir, "control")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, err
	}
	v := &server{settings: s, dir: dir, logFile: filepath.Join(dir, "log"), exited: make(chan struct{})}
	v.control = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	if err := v.exec(config, socket); err != nil {
		return nil, err
	}
	if err := v.await(); err != nil {
		return nil, errors.Join(err, v.stop(), errors.New(v.logTail()))
	}
	return v, nil
}

// exec starts the process. Its log, at the standard level, goes to a file, as it
// would go to the journal.
func (v *server) exec(config, socket string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(v.logFile)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	home := filepath.Join(v.dir, "home")
	v.cmd = exec.Command(program, "run", "--adapter", "caddyfile", "--config", config)
	v.cmd.Env = append(os.Environ(), asCaddy+"="+socket, "HOME="+home,
		"XDG_DATA_HOME="+filepath.Join(home, "data"), "XDG_CONFIG_HOME="+filepath.Join(home, "config"))
	v.cmd.Stdout, v.cmd.Stderr = log, log
	if _, err := v.cmd.StdinPipe(); err != nil { // open as long as we live
		return err
	}
	if err := v.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(v.exited)
		_ = v.cmd.Wait() // how it ended stands in the log
	}()
	return nil
}

// stop ends the process and waits for it.
func (v *server) stop() error {
	_ = v.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-v.exited:
		return nil
	case <-time.After(20 * time.Second):
		return v.cmd.Process.Kill()
	}
}

func (v *server) pid() int { return v.cmd.Process.Pid }

// rootFile is where Caddy's own CA has its root.
func (v *server) rootFile() string {
	return filepath.Join(v.settings.Storage, "pki", "authorities", "local", "root.crt")
}

// await waits until both https hosts show their certificates.
func (v *server) await() error {
	deadline := time.Now().Add(startLimit)
	for _, host := range []string{"as.localhost", "bob.localhost"} {
		for {
			err := v.shakeHands(host)
			if err == nil {
				break
			}
			select {
			case <-v.exited:
				return errors.New("the server has ended")
			case <-time.After(20 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s does not answer: %w", host, err)
			}
		}
	}
	return nil
}

func (v *server) shakeHands(host string) error {
	pem, err := os.ReadFile(v.rootFile())
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", "127.0.0.1:"+v.settings.Ports.TLS,
		&tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12})
	if err != nil {
		return err
	}
	return conn.Close()
}

// state asks the process for what it knows of itself.
func (v *server) state() (state, error) {
	var s state
	res, err := v.control.Get("http://control/state")
	if err != nil {
		return s, err
	}
	defer func() { _ = res.Body.Close() }()
	return s, json.NewDecoder(res.Body).Decode(&s)
}

// profile begins a CPU profile in a file, or ends the one that runs.
func (v *server) profile(file string) error {
	res, err := v.control.PostForm("http://control/profile", url.Values{"file": {file}})
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("profile: %s", bytes.TrimSpace(text))
	}
	return err
}

// logTail gives the end of the log, for somebody who looks for the cause of a
// failure.
func (v *server) logTail() string {
	text, _ := os.ReadFile(v.logFile)
	return string(text[max(0, len(text)-4000):])
}
