package rs_test

import (
	"net/http/httptest"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

func TestOA_09_AuthorizationSpellings(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	token := w.rpt()
	for _, tc := range []struct {
		values []string
		want   int
	}{
		{[]string{"Bearer " + token}, 200},
		{[]string{"bearer " + token}, 200},
		{[]string{"BEARER   " + token + "  "}, 200},
		{[]string{"Bearer\t" + token}, 401},
		{[]string{"Bearer \t" + token}, 200},
		{[]string{"Bearer " + token + ", Bearer " + token}, 401},
		{[]string{"Bearer " + token + " x"}, 401},
		{[]string{"Bearer " + token, "Bearer " + token}, 400},
		{[]string{"Bearer " + token, ""}, 400},
		{[]string{"Basic " + token}, 401},
		{[]string{"DPoP " + token}, 401},
		{[]string{"\u212Aearer " + token}, 401},
		{[]string{"Bearer " + token + "\x00"}, 401},
		{[]string{"Bearer =" + token}, 401},
		{[]string{"Bearer " + token + "="}, 401},
		{[]string{token}, 401},
	} {
		r := w.request("GET", "")
		r.Header["Authorization"] = tc.values
		g, f := w.rs.Check(r, rs.Target{Index: 0, Source: "a"})
		got := 200
		if g == nil {
			got = f.Status
		}
		if got != tc.want {
			t.Errorf("%.20q: %d want %d", tc.values, got, tc.want)
		}
	}
	r := httptest.NewRequest("GET", resource+"/x?access_token="+token, nil)
	if g, _ := w.rs.Check(r, rs.Target{}); g != nil {
		t.Error("a token in the query passes")
	}
}
