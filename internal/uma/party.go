package uma

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/seal"
)

// party is the requesting party as a verified claims token names it.
type party struct {
	Issuer, Subject string
	Email           oauth.Address
	Claims          map[string]any
	// evidence says how the provider was found, key is the thumbprint of the key
	// that signed.
	evidence, key string
	// found is the provider that was found in this request, if one was.
	found *discovery.Found
	// source says where the claims come from in this request.
	source claimSource
}

// claimSource is where the claims of a request come from. Sets of claims are
// never merged (CONFORMANCE A3).
type claimSource int

const (
	fromToken   claimSource = iota // a claims token in this request
	fromProcess                    // kept since an earlier round of the process
	fromPCT                        // a persisted claims token
)

// identity is what makes two parties one (CONFORMANCE A3): issuer, subject and
// address. Zero bytes part them, which none of them can hold.
func (w *party) identity() string {
	return hashID(w.Issuer + "\x00" + w.Subject + "\x00" + w.Email.String())
}

// confirm tells the finder that the provider led to a grant.
func (w *party) confirm(f *discovery.Finder) {
	if w.found != nil {
		f.Confirm(w.Email, *w.found)
	}
}

func (w *party) person() event.Person {
	return event.Person{Issuer: w.Issuer, Subject: w.Subject, Email: w.Email.String()}
}

// keptParty is a party as it is stored: always inside a sealed box, so that a
// dump of the store names nobody (UMA Grant §6.2, CONFORMANCE UG-64).
type keptParty struct {
	Issuer   string         `json:"iss"`
	Subject  string         `json:"sub"`
	Local    string         `json:"local"`
	Domain   string         `json:"domain"`
	Claims   map[string]any `json:"claims"`
	Evidence string         `json:"evidence"`
	Key      string         `json:"key,omitempty"`
	// Method and IP are those of the token request, for conditions.
	Method string `json:"method,omitempty"`
	IP     string `json:"ip,omitempty"`
}

// plain is what keep seals.
func (w *party) plain(method, ip string) ([]byte, error) {
	return json.Marshal(keptParty{
		Issuer: w.Issuer, Subject: w.Subject, Local: w.Email.Local, Domain: w.Email.Domain,
		Claims: w.Claims, Evidence: w.evidence, Key: w.key, Method: method, IP: ip,
	})
}

// keepable tells whether a party can be kept. A token may spell its claims shorter
// than we do, and nobody is let in, or refused, without a record of it.
func (w *party) keepable(method, ip string) bool {
	plain, err := w.plain(method, ip)
	return err == nil && seal.Fits(len(plain))
}

// keep seals a party under a box, bound to data.
func (w *party) keep(ctx context.Context, box *seal.Box, method, ip string, data ...string) (string, error) {
	plain, err := w.plain(method, ip)
	if err != nil {
		return "", err
	}
	return box.Seal(ctx, plain, data...)
}

// recall opens what keep sealed.
func recall(ctx context.Context, box *seal.Box, text string, data ...string) (*party, keptParty, error) {
	var k keptParty
	plain, err := box.Open(ctx, text, data...)
	if err != nil {
		return nil, k, err
	}
	if err := json.Unmarshal(plain, &k); err != nil {
		return nil, k, errors.Join(seal.ErrOpen, err)
	}
	return &party{
		Issuer: k.Issuer, Subject: k.Subject, Email: oauth.Address{Local: k.Local, Domain: k.Domain},
		Claims: k.Claims, evidence: k.Evidence, key: k.Key,
	}, k, nil
}

// secretBox seals for one kind of record under a secret that somebody else holds:
// a successor ticket, or the client with its PCT. The record is found by its hash.
func (s *Server) secretBox(kind, secret string) (*seal.Box, []string, error) {
	keys, err := seal.FromSecret(secret, kind)
	if err != nil {
		return nil, nil, err
	}
	return seal.NewBox(keys), []string{kind, s.cfg.Issuer, hashID(secret)}, nil
}
