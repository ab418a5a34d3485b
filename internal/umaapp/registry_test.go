package umaapp_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

type as string

func (as) Local(string) http.Handler { return http.NotFoundHandler() }

func (as) Admin() http.Handler { return http.NotFoundHandler() }

func TestRegistry(t *testing.T) {
	a := new(umaapp.App)
	const issuer = "https://as.alice.example"
	if first, err := a.RegisterAS(issuer, []byte("1"), as("a")); err != nil || first != as("a") {
		t.Fatalf("RegisterAS = %v, %v", first, err)
	}
	if first, err := a.RegisterAS(issuer, []byte("1"), as("b")); err != nil || first != as("a") {
		t.Errorf("RegisterAS with equal settings = %v, %v, want the first", first, err)
	}
	_, err := a.RegisterAS(issuer, []byte("2"), as("c"))
	want := "uma_server https://as.alice.example is configured twice with different settings; put it into a snippet"
	if err == nil || err.Error() != want {
		t.Errorf("RegisterAS with other settings = %v, want %s", err, want)
	}
	if got, ok := a.AS(issuer); !ok || got != as("a") {
		t.Errorf("AS = %v, %v, want the first", got, ok)
	}
	for _, other := range []string{issuer + "/", "https://AS.alice.example", ""} {
		if got, ok := a.AS(other); ok {
			t.Errorf("AS(%q) = %v, want none", other, got)
		}
	}
}

func TestRegistrySharedIssuer(t *testing.T) {
	const issuer = "https://home.example"
	want := "uma_sts and uma_server cannot share the issuer https://home.example"
	h := http.NotFoundHandler()

	a := new(umaapp.App)
	if _, err := a.RegisterAS(issuer, nil, as("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.RegisterSTS(issuer, nil, h); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("RegisterSTS behind RegisterAS = %v", err)
	}
	if _, err := a.RegisterSTS(issuer+"/sts", nil, h); err != nil {
		t.Errorf("RegisterSTS with a path = %v", err)
	}

	b := new(umaapp.App)
	if _, err := b.RegisterSTS(issuer, []byte("1"), h); err != nil {
		t.Fatal(err)
	}
	if _, err := b.RegisterSTS(issuer, []byte("2"), h); err == nil {
		t.Error("RegisterSTS with other settings = nil")
	}
	if _, err := b.RegisterAS(issuer, nil, as("a")); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("RegisterAS behind RegisterSTS = %v", err)
	}
}
