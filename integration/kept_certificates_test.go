package integration_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Every Caddy of these tests would make a CA and certificates for the same few
// names, which takes time and fails now and then on a busy machine. They are made
// once and handed on.

// keptCertificates is where they are kept; made at first use.
var keptCertificates = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "uma-certificates")
	leftovers = append(leftovers, dir)
	return dir, err
})

// lendCertificates puts what is kept into a storage that Caddy has not used yet, and
// keeps what is new there before Caddy stops.
func lendCertificates(t *testing.T, storage string) {
	t.Helper()
	kept, err := keptCertificates()
	if err == nil {
		err = os.CopyFS(storage, os.DirFS(kept))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keepCertificates(t, storage, kept) })
}

// keepCertificates keeps the CA, and each certificate that is there with its key and
// its description: one of which something is missing is being written.
func keepCertificates(t *testing.T, storage, kept string) {
	t.Helper()
	keep := []string{"pki"}
	dirs, err := filepath.Glob(filepath.Join(storage, "certificates", "*", "*"))
	for _, dir := range dirs {
		if files, _ := os.ReadDir(dir); len(files) == 3 {
			keep = append(keep, strings.TrimPrefix(dir, storage))
		}
	}
	for _, name := range keep {
		if _, there := os.Stat(filepath.Join(kept, name)); there != nil {
			err = errors.Join(err, os.CopyFS(filepath.Join(kept, name), os.DirFS(filepath.Join(storage, name))))
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// automate has the certificates managed by the app tls itself. Else the app http asks
// for them, which may start first; certificates then come while caddytls (v2.11.9)
// starts, and events read its fields while Start writes them, without a lock: the race
// detector stops the test that it happens in. The cleaning of storage writes one, too.
func automate(apps map[string]any) {
	tls, _ := apps["tls"].(map[string]any)
	automation, _ := tls["automation"].(map[string]any)
	policies, _ := automation["policies"].([]any)
	names := []any{}
	for _, policy := range policies {
		policy, _ := policy.(map[string]any)
		subjects, _ := policy["subjects"].([]any)
		names = append(names, subjects...)
	}
	if len(names) == 0 {
		return
	}
	certificates, _ := tls["certificates"].(map[string]any)
	if certificates == nil {
		certificates = map[string]any{}
		tls["certificates"] = certificates
	}
	certificates["automate"], tls["disable_storage_clean"] = names, true
	web, _ := apps["http"].(map[string]any)
	servers, _ := web["servers"].(map[string]any)
	for _, server := range servers {
		server, _ := server.(map[string]any)
		https, _ := server["automatic_https"].(map[string]any)
		if https == nil {
			https = map[string]any{}
			server["automatic_https"] = https
		}
		https["disable_certificates"] = true
	}
}
