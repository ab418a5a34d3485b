package integration_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The nine steps with RPTs that the resource server asks about, and what becomes of one
// that is taken back.
func TestUF_27_Introspection(t *testing.T) {
	const (
		secret   = "{$RS_SECRET:example-only-change-me-0000000000}"
		asServer = secret + "\n\n\t\t# Bob"
		rsClient = "client_id api\n"
		web      = "\t\tclient web {$RS_SECRET:example-only-web-secret-00000000000}\n"
	)
	for _, tc := range []struct {
		name, rpt, check string
	}{
		{"UF-28 JWT, introspection", "jwt", "introspection"},
		{"UF-28 opaque, local", "opaque", "local"},
		{"UF-28 OA-13 OA-14 opaque, introspection", "opaque", "introspection"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := example(t,
				asServer, secret+" {\n\t\t\trpt "+tc.rpt+"\n\t\t}\n"+web+"\n\t\t# Bob",
				rsClient, rsClient+"\t\tcheck "+tc.check+"\n\t\trevocation 1s\n",
			)
			asWeb := basic("web", "example-only-web-secret-00000000000")
			access := w.login("bob@bob.localhost", "bob-demo")
			rpts := make([]string, 2)
			for i := range rpts {
				ticket, _ := w.challenged(http.MethodGet, "/photos")
				rpt := w.redeem(ticket, w.claimsToken(access, w.url("api", ""), ticket), map[string]string{"client_id": ""}, asWeb)
				if rpt.status != http.StatusOK {
					t.Fatalf("step 7: %d %s", rpt.status, rpt.text)
				}
				rpts[i] = rpt.get("access_token")
				if opaque := strings.HasPrefix(rpts[i], "rpt_"); opaque != (tc.rpt == "opaque") {
					t.Fatalf("opaque = %v", opaque)
				}
			}
			for i, rpt := range append(rpts, rpts...) {
				ok := w.get(w.url("api", "/photos"), bearer(rpt))
				if ok.status != http.StatusOK || w.hits.Load() != int64(i+1) {
					t.Fatalf("step 9: %d %s", ok.status, ok.text)
				}
			}
			checkBackendRequest(t, w.get(w.url("api", "/photos"), bearer(rpts[0])))
			if again, res := w.challengedWith(http.MethodPost, "/photos", rpts[0]); again == "" {
				t.Errorf("UG-50: the RPT for get opens post: %d", res.status)
			}
			for _, token := range []string{"rpt_x", "x", rpts[0] + "x", access} {
				if again, res := w.challengedWith(http.MethodGet, "/photos", token); again == "" {
					t.Errorf("UG-50: another token: %d", res.status)
				}
			}
			meta := w.get(w.url("as", "/.well-known/uma2-configuration"), nil)
			if a := w.post(meta.get("revocation_endpoint"), map[string]string{"token": rpts[0]}, asWeb); a.status != http.StatusOK {
				t.Fatalf("revocation: %d %s", a.status, a.text)
			}
			w.refusedWithin(rpts[0], 10*time.Second)
			if ok := w.get(w.url("api", "/photos"), bearer(rpts[1])); ok.status != http.StatusOK {
				t.Errorf("the other RPT: %d %s", ok.status, ok.text)
			}
		})
	}
}

// refusedWithin polls until an RPT is refused, and then it stays so.
func (w *world) refusedWithin(rpt string, most time.Duration) {
	w.t.Helper()
	for deadline := time.Now().Add(most); w.get(w.url("api", "/photos"), bearer(rpt)).status == http.StatusOK; {
		if time.Now().After(deadline) {
			w.t.Fatalf("not refused within %s", most)
		}
		time.Sleep(50 * time.Millisecond) // polling a real server: there is no clock to inject
	}
	if again, res := w.challengedWith(http.MethodGet, "/photos", rpt); again == "" {
		w.t.Errorf("the revoked RPT: %d %s", res.status, res.text)
	}
}
