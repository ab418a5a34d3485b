package clientauth_test

import (
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const (
	oldSecret = "old-secret-0123456789-0123456789-0123"
	newSecret = "new-secret-0123456789-0123456789-0123"
)

func clients() clientauth.Clients {
	return clientauth.Clients{
		"app":  {ID: "app", Public: true},
		"gone": {ID: "gone", Public: true, Disabled: true},
		"web":  {ID: "web", Credentials: clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret(oldSecret), clientauth.HashSecret(newSecret)}}},
		"off":  {ID: "off", Credentials: clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret(oldSecret)}}, Disabled: true},
		"none": {ID: "none"}, // a resource server marked local
		// A mistake that must not open anything: public, and yet secrets.
		"both": {ID: "both", Public: true, Credentials: clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret(oldSecret)}}},
		"zero": {ID: "zero", Credentials: clientauth.Credentials{Secrets: [][32]byte{{}}}},
	}
}

// authenticate finds the client of credentials among clients.
func authenticate(t *testing.T, creds oauth.Credentials) (clientauth.Client, error) {
	t.Helper()
	return newBench(t).Authenticate(t.Context(), clients()[creds.ClientID], clientauth.Request{Credentials: creds})
}

func TestCA_03_Authenticate(t *testing.T) {
	for name, tc := range map[string]struct {
		id, method, secret string
		ok                 bool
	}{
		"public":                              {"app", oauth.AuthNone, "", true},
		"UG-63 public, disabled":              {"gone", oauth.AuthNone, "", false},
		"public with a secret":                {"app", oauth.AuthSecretPost, "x", false},
		"public with an empty secret":         {"app", oauth.AuthSecretBasic, "", false},
		"OA-04 unknown":                       {"nobody", oauth.AuthNone, "", false},
		"OA-04 unknown with a secret":         {"nobody", oauth.AuthSecretPost, oldSecret, false},
		"another case":                        {"App", oauth.AuthNone, "", false},
		"confidential, old secret":            {"web", oauth.AuthSecretBasic, oldSecret, true},
		"confidential, new secret":            {"web", oauth.AuthSecretPost, newSecret, true},
		"OA-04 wrong secret":                  {"web", oauth.AuthSecretBasic, oldSecret + "x", false},
		"OA-04 cut secret":                    {"web", oauth.AuthSecretPost, oldSecret[:len(oldSecret)-1], false},
		"OA-04 empty secret":                  {"web", oauth.AuthSecretBasic, "", false},
		"confidential as public":              {"web", oauth.AuthNone, "", false},
		"UG-63 disabled, with its secret":     {"off", oauth.AuthSecretBasic, oldSecret, false},
		"no credentials at all: as public":    {"none", oauth.AuthNone, "", false},
		"no credentials at all: empty secret": {"none", oauth.AuthSecretPost, "", false},
		"public and secrets: by secret":       {"both", oauth.AuthSecretPost, oldSecret, false},
		"a hash of zeros":                     {"zero", oauth.AuthSecretPost, "", false},
		"private_key_jwt is not offered":      {"web", oauth.AuthPrivateKeyJWT, oldSecret, false},
		"an unknown method":                   {"app", "tls_client_auth", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := authenticate(t, oauth.Credentials{ClientID: tc.id, Method: tc.method, Secret: tc.secret})
			if (err == nil) != tc.ok || tc.ok && client.ID != tc.id || !tc.ok && client.ID != "" {
				t.Errorf("%+v, %v", client, err)
			}
		})
	}
	t.Run("no client_id", func(t *testing.T) {
		if _, err := authenticate(t, oauth.Credentials{Method: oauth.AuthNone}); oauth.AsError(err).Code != oauth.CodeInvalidRequest {
			t.Errorf("%v", err)
		}
	})
}

// OA-04, SEC-25: every failure is the same answer, but for the challenge that
// matches the scheme.
func TestOA_04_SameAnswer(t *testing.T) {
	var first string
	for _, tc := range []struct {
		creds     oauth.Credentials
		challenge string
	}{
		{oauth.Credentials{ClientID: "nobody", Method: oauth.AuthNone}, ""},
		{oauth.Credentials{ClientID: "gone", Method: oauth.AuthNone}, ""},
		{oauth.Credentials{ClientID: "web", Method: oauth.AuthNone}, ""},
		{oauth.Credentials{ClientID: "web", Method: oauth.AuthSecretPost, Secret: "x"}, ""},
		{oauth.Credentials{ClientID: "web", Method: oauth.AuthSecretBasic, Secret: "x"}, `Basic realm="client"`},
		{oauth.Credentials{ClientID: "nobody", Method: oauth.AuthSecretBasic, Secret: "x"}, `Basic realm="client"`},
		{oauth.Credentials{Method: oauth.AuthSecretBasic}, `Basic realm="client"`},
	} {
		_, err := authenticate(t, tc.creds)
		rec := httptest.NewRecorder()
		oauth.WriteError(rec, err)
		if rec.Code != 401 || rec.Header().Get("WWW-Authenticate") != tc.challenge {
			t.Errorf("%+v: %d %v", tc.creds, rec.Code, rec.Header())
		}
		var body struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(rec.Body.Bytes(), &body) != nil || body.Error != "invalid_client" {
			t.Errorf("%s", rec.Body)
		}
		if first == "" {
			first = rec.Body.String()
		}
		if rec.Body.String() != first {
			t.Errorf("%s, another answer than %s", rec.Body, first)
		}
	}
}
