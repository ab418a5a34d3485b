package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// world is what the variants are measured in: one Caddy with all of them, a second
// one that is a remote authorization server and has its documents in memory, the
// backend, and what a client needs.
type world struct {
	dir      string
	memory   string // folder that is in memory; "" = there is none
	main     *server
	remote   *server
	upstream *upstream
	rpts     *mint
	claims   *mint
	access   map[*server]string
}

const sharedMemory = "/dev/shm"

// build starts everything; what it has started is stopped by close, also after an
// error.
func build() (*world, error) {
	w := &world{access: map[*server]string{}}
	var err error
	if w.dir, err = os.MkdirTemp("", "caddy-uma-bench-"); err != nil {
		return w, err
	}
	w.memory, _ = os.MkdirTemp(sharedMemory, "caddy-uma-bench-")
	if w.upstream, err = startUpstream(); err != nil {
		return w, err
	}
	base := settings{
		Upstream: w.upstream.addr, Secret: rand.Text() + rand.Text(), Instances: knowsInstances(),
		ChallengeBody: `{"title":"Unauthorized","status":401,"detail":"Access needs an authorization of the resource owner; see the WWW-Authenticate header."}`,
	}
	if err := w.startServers(base); err != nil {
		return w, err
	}
	return w, w.prepare()
}

// startServers starts the remote one first: the main one trusts its CA.
func (w *world) startServers(base settings) (err error) {
	far := base
	if far.Ports, err = takePorts(); err != nil {
		return err
	}
	far.DB = filepath.Join(w.dir, "remote.db")
	if w.memory != "" {
		far.DB = filepath.Join(w.memory, "uma.db")
	}
	far.AccessLog = filepath.Join(w.dir, "remote-access.log")
	if w.remote, err = startServer(filepath.Join(w.dir, "remote"), far); err != nil {
		return fmt.Errorf("the remote server: %w", err)
	}
	near := base
	if near.Ports, err = takePorts(); err != nil {
		return err
	}
	near.DB = filepath.Join(w.dir, "uma.db")
	near.RemoteTLS, near.RemoteRoot = far.Ports.TLS, w.remote.rootFile()
	w.main, err = startServer(filepath.Join(w.dir, "main"), near)
	return err
}

// prepare walks the nine steps once on each server, so that all is fetched, and
// keeps the tokens as patterns for further ones.
func (w *world) prepare() error {
	for _, v := range []*server{w.main, w.remote} {
		access, err := login(v)
		if err != nil {
			return fmt.Errorf("login: %w", err)
		}
		w.access[v] = access
		if err := w.firstFlow(v); err != nil {
			return err
		}
	}
	return nil
}

// firstFlow tries for a while: a server that has just started may have to fetch
// something first.
func (w *world) firstFlow(v *server) (err error) {
	for range 100 {
		if err = w.flow(v); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("the nine steps: %w", err)
}

func (w *world) flow(v *server) error {
	claims, rpt, err := newParty(v, w.access[v]).walk()
	if err != nil || v != w.main {
		return err
	}
	tls := v.settings.Ports.TLS
	if w.rpts, err = newMint(v, "as", "https://as.localhost:"+tls, "rpt", rpt); err != nil {
		return err
	}
	w.claims, err = newMint(v, "sts", "https://bob.localhost:"+tls, "claims", claims)
	return err
}

// close stops what was started and removes what was written.
func (w *world) close() error {
	var errs []error
	for _, v := range []*server{w.main, w.remote} {
		if v != nil {
			errs = append(errs, v.stop())
		}
	}
	if w.upstream != nil {
		w.upstream.stop()
	}
	for _, dir := range []string{w.dir, w.memory} {
		if dir != "" {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}
