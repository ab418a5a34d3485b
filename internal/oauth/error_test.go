package oauth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func write(err error) (*httptest.ResponseRecorder, map[string]any) {
	rec := httptest.NewRecorder()
	oauth.WriteError(rec, err)
	var body map[string]any
	_ = json.Unmarshal(rec.Body.Bytes(), &body)
	return rec, body
}

func TestOA_06_WriteError(t *testing.T) {
	secret := errors.New("cAnArY /var/lib/x")
	bad := oauth.Errorf(oauth.CodeInvalidRequest, "%s is missing", "ticket")
	for name, tc := range map[string]struct {
		err    error
		status int
		body   map[string]any
	}{
		"plain":               {bad, 400, map[string]any{"error": "invalid_request", "error_description": "ticket is missing"}},
		"status 0 is 400":     {&oauth.Error{Code: "x"}, 400, map[string]any{"error": "x"}},
		"cause":               {bad.Because(secret), 400, map[string]any{"error": "invalid_request", "error_description": "ticket is missing"}},
		"foreign":             {secret, 500, map[string]any{"error": "server_error"}},
		"wrapped":             {fmt.Errorf("cAnArY: %w", bad), 400, map[string]any{"error": "invalid_request", "error_description": "ticket is missing"}},
		"unavailable":         {oauth.Unavailable(secret), 503, map[string]any{"error": "temporarily_unavailable", "error_description": "the server cannot do this at the moment; try again later"}},
		"extra":               {&oauth.Error{Code: "need_info", Status: 403, Extra: map[string]any{"ticket": "t"}}, 403, map[string]any{"error": "need_info", "ticket": "t"}},
		"extra is no code":    {&oauth.Error{Code: "x", Extra: map[string]any{"error": "y"}}, 400, map[string]any{"error": "x"}},
		"SEC-18 too many":     {oauth.TooMany(1500 * time.Millisecond), 429, map[string]any{"error": "slow_down", "error_description": "too many requests; wait before the next one"}},
		"what is not encoded": {&oauth.Error{Code: "x", Extra: map[string]any{"f": func() {}}}, 500, map[string]any{"error": "server_error"}},
	} {
		t.Run(name, func(t *testing.T) {
			rec, body := write(tc.err)
			if rec.Code != tc.status || !cmp.Equal(body, tc.body) {
				t.Errorf("%d %s", rec.Code, cmp.Diff(tc.body, body))
			}
			if strings.Contains(rec.Body.String(), "cAnArY") {
				t.Error("the cause leaks")
			}
			h := rec.Header()
			if h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("OA-07: %v", h)
			}
		})
	}
	t.Run("headers", func(t *testing.T) {
		rec, _ := write(oauth.TooMany(1500 * time.Millisecond))
		if got := rec.Header().Get("Retry-After"); got != "2" {
			t.Errorf("Retry-After: %s", got)
		}
		rec, _ = write(oauth.TooMany(0))
		if got := rec.Header().Get("Retry-After"); got != "1" {
			t.Errorf("Retry-After: %s", got)
		}
	})
	t.Run("the cause is there for the log", func(t *testing.T) {
		err := bad.Because(secret)
		if !errors.Is(err, secret) || !strings.Contains(err.Error(), "cAnArY") || bad.Err != nil {
			t.Errorf("%v, %v", err, bad)
		}
	})
}

// A description that breaks the rule of RFC 6749 §5.2 does not leave.
func TestOA_06_Charset(t *testing.T) {
	for _, text := range []string{"a\"b", "a\\b", "a\nb", "ü", "\x7f", "a\xffb"} {
		_, body := write(oauth.Errorf("x", "%s", text))
		description, _ := body["error_description"].(string)
		for i := range len(description) {
			if c := description[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
				t.Errorf("%q: %q", text, description)
			}
		}
	}
}

func TestOA_07_WriteDocument(t *testing.T) {
	rec := httptest.NewRecorder()
	oauth.WriteDocument(rec, 300, map[string]int{"a": 1})
	if rec.Code != http.StatusOK || rec.Header().Get("Cache-Control") != "public, max-age=300" || rec.Body.String() != `{"a":1}` {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
}
