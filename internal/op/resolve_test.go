package op_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
)

func TestResolve(t *testing.T) {
	b := newBench(t, nil)
	token := b.redeem(tokenParams(b.code())).AccessToken
	got, err := b.provider.Resolve(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.ID) != 22 {
		t.Errorf("ID = %q", got.ID)
	}
	want := oauth.Subject{
		Issuer: issuer, ID: got.ID, ClientID: "app", Email: "Bob@Bob.example", EmailVerified: true,
		Claims:   map[string]any{"name": "Bob", "groups": []string{"staff"}},
		Audience: []string{issuer}, Self: issuer, Expires: b.clock().Add(10 * time.Minute).UTC(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Another spelling of the address is the same user; another user is not.
	again, _ := b.provider.Resolve(t.Context(), b.redeem(tokenParams(b.codeAgain())).AccessToken)
	if again.ID != got.ID {
		t.Error("the identifier of a user changes")
	}
}

func TestCA_13_Resolve_OtherTexts(t *testing.T) {
	b := newBench(t, nil)
	code := b.code()
	unspent := b.codeAgain()
	tokens := b.redeem(tokenParams(code))
	for name, text := range map[string]string{
		"ID token": tokens.IDToken, "unspent code": unspent, "spent code": code,
		"empty": "", "random": strings.Repeat("A", 43), "garbage": "\x00\xff", "long": strings.Repeat("A", 1<<16),
		"with a line break": tokens.AccessToken[:20] + "\n" + tokens.AccessToken[20:], "padded": tokens.AccessToken + "=",
	} {
		if _, err := b.provider.Resolve(t.Context(), text); !errors.Is(err, oauth.ErrSubjectToken) {
			t.Errorf("CA-13 %s: %v, want ErrSubjectToken", name, err)
		}
	}
	if _, err := b.provider.Resolve(t.Context(), tokens.AccessToken); err != nil {
		t.Errorf("the access token itself: %v", err)
	}
	// A row is found within its own issuer alone.
	other := b.second(func(c *op.Config) { c.Issuer = "https://other.example" })
	if _, err := other.Resolve(t.Context(), tokens.AccessToken); !errors.Is(err, oauth.ErrSubjectToken) {
		t.Errorf("at another issuer: %v", err)
	}
}

// CA-02: only a live token of an authenticated user counts; there is no grant
// without a user.
func TestCA_02_Resolve_UserMustExist(t *testing.T) {
	b := newBench(t, nil)
	token := b.redeem(tokenParams(b.code())).AccessToken
	for name, change := range map[string]func(*op.Config){
		"user removed":    func(c *op.Config) { c.Users = c.Users[1:] },
		"client removed":  func(c *op.Config) { c.Clients = c.Clients[1:] },
		"client disabled": func(c *op.Config) { c.Clients = []op.Client{{ID: "app", Disabled: true}} },
	} {
		if _, err := b.second(change).Resolve(t.Context(), token); !errors.Is(err, oauth.ErrSubjectToken) {
			t.Errorf("%s: %v, want ErrSubjectToken", name, err)
		}
	}
	b.post("token", tokenParams("", "grant_type", "client_credentials")).want(t, 400, "unsupported_grant_type")
	b.pass(10*time.Minute - time.Second)
	if _, err := b.provider.Resolve(t.Context(), token); err != nil {
		t.Errorf("just before expiry: %v", err)
	}
	b.pass(time.Second)
	if _, err := b.provider.Resolve(t.Context(), token); !errors.Is(err, oauth.ErrSubjectToken) {
		t.Errorf("expired: %v", err)
	}
}
