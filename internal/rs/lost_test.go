package rs_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// TestUF_06_LostConnections: an authorization server that is loaded anew closes
// connections. What may be sent twice is; what makes something is not.
func TestUF_06_LostConnections(t *testing.T) {
	for _, tc := range []struct {
		name   string
		call   rs.Call
		lost   int
		status int
	}{
		{"UF-06 of a PAT request", rs.CallToken, 1, 401},
		{"UF-19 of a permission request", rs.CallPermission, 1, 401},
		{"UF-19 only once", rs.CallPermission, 2, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.cfg.AS = losing(w.cfg.AS, tc.lost, func(c rs.Call, _ *http.Request) bool { return c == tc.call })
			w.restart()
			if got := w.status("GET", ""); got != tc.status {
				t.Errorf("status = %d, want %d", got, tc.status)
			}
		})
	}
	t.Run("UF-05 nothing is registered twice", func(t *testing.T) {
		w := newWorld(t)
		made := 0
		w.cfg.AS = losing(w.cfg.AS, 1, func(c rs.Call, r *http.Request) bool {
			if c != rs.CallRegistration || r.Method != http.MethodPost {
				return false
			}
			made++
			return true
		})
		w.restart()
		w.status("GET", "")
		if made != 1 {
			t.Errorf("%d attempts, want 1", made)
		}
	})
}

// losing loses the answers to the first calls that fit, after their bodies were read.
func losing(as func(rs.Call, *http.Request) (*http.Response, error), n int, fits func(rs.Call, *http.Request) bool) func(rs.Call, *http.Request) (*http.Response, error) {
	return func(c rs.Call, r *http.Request) (*http.Response, error) {
		if fits(c, r) && n > 0 {
			n--
			_, _ = io.Copy(io.Discard, r.Body)
			return nil, fmt.Errorf("post: %w", io.EOF)
		}
		return as(c, r)
	}
}
