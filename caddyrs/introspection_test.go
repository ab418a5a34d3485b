package caddyrs

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

func TestUF_28_IntrospectionInTheProcess(t *testing.T) {
	s := newSite(t, protect("\t\trate_limit 3 1m")+proxy)
	s.as.opaque = map[string]map[string]any{"rpt_good": {
		"active": true, "iss": issuer, "sub": "u-1", "client_id": "c", "aud": resource, "exp": time.Now().Add(time.Minute).Unix(),
		"permissions": []any{map[string]any{"resource_id": "id-0", "resource_scopes": []any{"get"}}},
	}}
	for range 5 {
		if resp, body := s.do("GET", "/", "", bearer("rpt_good")...); resp.StatusCode != 202 {
			t.Fatalf("answer = %d %v %s", resp.StatusCode, resp.Header, body)
		}
	}
	t.Run("SEC-18 unknown tokens have a limit of their own", func(t *testing.T) {
		got := map[int]int{}
		for i := range 5 {
			resp, _ := s.do("GET", "/", "", bearer(fmt.Sprint("rpt_", i))...)
			got[resp.StatusCode]++
			if resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		}
		if got[401] != 3 || got[429] != 2 {
			t.Errorf("answers = %v, want 401 three times and 429 twice", got)
		}
		if resp, _ := s.do("GET", "/", "", bearer("rpt_good")...); resp.StatusCode != 202 {
			t.Errorf("a known token = %d, want 202", resp.StatusCode)
		}
	})
	if s.as.introspected != 4 {
		t.Errorf("%d questions, want 4", s.as.introspected)
	}
}

// What needs a secret goes over the network even if the authorization server is here.
func TestHandedOver(t *testing.T) {
	for call, want := range map[rs.Call]bool{
		rs.CallMetadata: true, rs.CallKeys: true, rs.CallPermission: true, rs.CallIntrospection: true,
		rs.CallToken: false, rs.CallRegistration: false,
	} {
		if got := handedOver(call); got != want {
			t.Errorf("handedOver(%d) = %v, want %v", call, got, want)
		}
	}
}
