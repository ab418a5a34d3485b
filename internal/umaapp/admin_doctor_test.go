package umaapp_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/finding"
)

func TestDoctorRoute(t *testing.T) {
	registerRings()
	a := startAdmin(t)
	a.load(`{}`)
	if status, text := a.ask("GET", "/uma/show/doctor"); status != http.StatusNotFound || !strings.Contains(text, "uma_protect, uma_server or uma_sts") {
		t.Errorf("without the app: %d %s", status, text)
	}
	a.load(`{"uma":{"store":{"module":"bolt","path":"` + filepath.Join(a.dir, "x.db") + `"},"connect_to":{"bob.localhost:443":"127.0.0.1:8443"}},` + rings + `}`)
	if status, text := a.ask("POST", "/uma/show/doctor"); status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d %s", status, text)
	}
	status, text := a.ask("GET", "/uma/show/doctor")
	var answer struct {
		Verdict  finding.Level
		Findings []finding.Finding
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK || answer.Verdict != finding.Warning {
		t.Fatalf("%d %s: %v", status, text, err)
	}
	if !strings.Contains(text, "connect_to bob.localhost:443 lets outbound requests reach 127.0.0.1:8443") {
		t.Error(text)
	}
}
