package op_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"testing"
)

// sealed is the hidden field of a page.
func (a answer) sealed(t testing.TB) string {
	t.Helper()
	m := hidden.FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no login page: %d %s", a.status, a.body)
	}
	return html.UnescapeString(m[1])
}

// params are the parameters of a redirect.
func (a answer) params(t testing.TB) url.Values {
	t.Helper()
	if a.status != http.StatusSeeOther {
		t.Fatalf("status = %d, want 303: %s", a.status, a.body)
	}
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// code of an error answer in JSON.
func (a answer) error(t testing.TB) string {
	t.Helper()
	var out struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatalf("not JSON: %s", a.body)
	}
	return out.Error
}

// want checks status and error code.
func (a answer) want(t testing.TB, status int, code string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status = %d, want %d: %s", a.status, status, a.body)
	}
	if got := a.error(t); got != code {
		t.Errorf("error = %q, want %q", got, code)
	}
}
