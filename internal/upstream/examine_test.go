package upstream_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/upstream"
)

func TestExamine(t *testing.T) {
	introspection := func(c *upstream.Config) {
		c.Check, c.ClientID, c.Secret = upstream.CheckIntrospection, "caddy", "s3cret"
	}
	answers := func(status int, body string) func(*world) {
		return func(w *world) { w.op.Misbehave("/introspect", fakeop.Raw(status, "application/json", body)) }
	}
	for _, tc := range []struct {
		name string
		edit func(*upstream.Config)
		do   func(*world)
		want upstream.Examined // without Err, Issuer and Date
	}{
		{"well", nil, func(*world) {}, upstream.Examined{}},
		{
			"another issuer", nil, func(w *world) { w.op.Edit(func(doc map[string]any) { doc["issuer"] = "https://x.example" }) },
			upstream.Examined{Step: upstream.StepMetadata, Status: 200, Theirs: "https://x.example"},
		},
		{
			"no metadata", nil, func(w *world) { w.op.Misbehave(fakeop.Configuration, fakeop.Raw(404, "text/plain", "")) },
			upstream.Examined{Step: upstream.StepMetadata, Status: 404},
		},
		{
			"down", func(c *upstream.Config) { c.HTTP = &http.Client{Transport: refuses{}} }, func(*world) {},
			upstream.Examined{Step: upstream.StepMetadata, Unanswered: true},
		},
		{
			"no keys", nil, func(w *world) { w.op.Misbehave(fakeop.JWKS, fakeop.Raw(200, "application/json", `{"keys":[]}`)) },
			upstream.Examined{Step: upstream.StepKeys, Status: 200},
		},
		{"keys do not matter", introspection, func(w *world) {
			w.op.Misbehave(fakeop.JWKS, fakeop.Raw(500, "", ""))
			answers(200, `{"active":false}`)(w)
		}, upstream.Examined{}},
		{"wrong secret", introspection, answers(401, `{"error":"invalid_client"}`), upstream.Examined{Step: upstream.StepCredentials, Status: 401}},
		{"active for nothing", introspection, answers(200, `{"active":true}`), upstream.Examined{Step: upstream.StepCredentials, Status: 200}},
		{"nonsense", introspection, answers(200, `[]`), upstream.Examined{Step: upstream.StepCredentials, Status: 200}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, fakeop.Config{})
			tc.do(w)
			got := w.upstream(tc.edit).Examine(t.Context())
			if (got.Err == nil) != (tc.want.Step == "") || got.Issuer != w.op.Issuer {
				t.Errorf("%+v", got)
			}
			got.Err, got.Issuer, got.Date, got.At = nil, "", time.Time{}, time.Time{}
			if got != tc.want {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
		})
	}
}

// A slow step after it does not make the clock look slow.
func TestExamineAt(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	began := w.Now()
	w.op.Misbehave(fakeop.JWKS, func(rw http.ResponseWriter, _ *http.Request) {
		w.pass(20 * time.Second)
		rw.WriteHeader(http.StatusServiceUnavailable)
	})
	if got := w.upstream(nil).Examine(t.Context()); !got.At.Equal(began) || got.Step != upstream.StepKeys {
		t.Errorf("%+v, want %v", got, began)
	}
}

type refuses struct{}

func (refuses) RoundTrip(*http.Request) (*http.Response, error) { return nil, http.ErrHandlerTimeout }

// A failure that the examination meets does not keep requests from asking.
func TestExamineChangesNothing(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	u := w.upstream(nil)
	good := w.op.Sign(w.claims(nil), "at+jwt")
	w.op.Misbehave(fakeop.Configuration, fakeop.Raw(500, "", ""))
	if got := u.Examine(t.Context()); got.Step != upstream.StepMetadata {
		t.Errorf("%+v", got)
	}
	w.op.Misbehave(fakeop.Configuration, nil)
	if _, err := u.Resolve(t.Context(), good); err != nil {
		t.Error(err)
	}
}
