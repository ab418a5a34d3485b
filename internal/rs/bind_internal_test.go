package rs

import (
	"net/http/httptest"
	"testing"
)

// A request with an unbound RPT pays nothing for bindings.
func TestBoundCostsBearerTokensNothing(t *testing.T) {
	s := &Server{resources: make([]resource, 2)}
	p := &presented{
		request: httptest.NewRequest("GET", "/", nil), scheme: schemeBearer, token: "x",
		wants: []want{{index: 0}, {index: 1}},
	}
	claims, ctx := new(rptClaims), t.Context()
	allocs := testing.AllocsPerRun(100, func() {
		if err := s.bound(ctx, nil, p, claims); err != nil || s.unproven(ctx, err) != nil {
			t.Error(err)
		}
	})
	if allocs != 0 {
		t.Errorf("allocations = %v, want none", allocs)
	}
}
