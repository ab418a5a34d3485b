package rs_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

func TestUF_06_PATIsRenewed(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	if n := w.as.count("POST /token"); n != 1 {
		t.Fatalf("PATs = %d, want 1", n)
	}
	t.Run("UF-06 after 401", func(t *testing.T) {
		w.as.set(func() { w.as.pat++ })
		if got := w.status("GET", ""); got != 401 {
			t.Errorf("status = %d, want 401", got)
		}
		if n := w.as.count("POST /token"); n != 2 {
			t.Errorf("PATs = %d, want 2", n)
		}
	})
	t.Run("UF-06 before it expires", func(t *testing.T) {
		w.now = w.now.Add(59*time.Minute + time.Second)
		w.status("GET", "")
		if n := w.as.count("POST /token"); n != 3 {
			t.Errorf("PATs = %d, want 3", n)
		}
	})
	t.Run("UF-06 only one retry", func(t *testing.T) {
		always := w.cfg.AS
		calls := 0
		w.cfg.AS = func(c rs.Call, r *http.Request) (*http.Response, error) {
			if c == rs.CallPermission {
				calls++
				return &http.Response{StatusCode: 401, Body: http.NoBody, Header: http.Header{}}, nil
			}
			return always(c, r)
		}
		w.restart()
		if got := w.status("GET", ""); got != 403 || calls != 2 {
			t.Errorf("status = %d after %d calls, want 403 after 2", got, calls)
		}
	})
}

func TestPAT_Request(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	if want := "grant_type=client_credentials&scope=uma_protection"; w.as.form != want {
		t.Errorf("form = %s, want %s", w.as.form, want)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", w.as.basic)
	if id, secret, _ := r.BasicAuth(); id != clientID || secret != "s3cret%2F%2B" {
		t.Errorf("Basic = %q %q, want form-encoded credentials (RFC 6749 §2.3.1)", id, secret)
	}
	w.cfg.ClientSecret = ""
	w.restart()
	w.status("GET", "")
	if want := "client_id=api&grant_type=client_credentials&scope=uma_protection"; w.as.form != want || w.as.basic != "" {
		t.Errorf("form = %s, Authorization = %q, want the name alone", w.as.form, w.as.basic)
	}
}

func TestResourceURI_BothSides(t *testing.T) {
	for _, c := range []struct {
		name, mine, theirs string
		want               int
	}{
		{"learned", "", resource, 401},
		{"configured", resource, "", 401},
		{"equal", resource, resource, 401},
		{"different", resource, "https://other.example", 403},
		{"neither", "", "", 403},
		{"not canonical", "", "https://API.example", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(cfg *rs.Config) { cfg.ResourceURI = c.mine })
			w.as.uri = c.theirs
			_, f := w.check("GET", "")
			if f.Status != c.want || c.want == 403 && f.Header.Get("Warning") == "" {
				t.Errorf("refusal = %+v, want %d", f, c.want)
			}
		})
	}
}
