package uma

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// domainPage is a page of the ledger. Next is the domain to ask for the page
// after, "" at the end.
type domainPage struct {
	Domains []domainView `json:"domains"`
	Next    string       `json:"next,omitempty"`
}

// domainView is a domain of the ledger as administrators see it: no address.
type domainView struct {
	Domain    string       `json:"domain"`
	Delegated bool         `json:"delegated,omitempty"`
	Issuers   []issuerView `json:"issuers"`
	Doubt     *doubtView   `json:"doubt,omitempty"`
	// Addresses is how many are known; if More is set, there are at least so many.
	Addresses int  `json:"addresses"`
	More      bool `json:"more_addresses,omitempty"`
}

type issuerView struct {
	Issuer   string    `json:"issuer"`
	Known    bool      `json:"known,omitempty"`
	Evidence string    `json:"evidence"`
	First    time.Time `json:"first_seen,omitzero"`
	Last     time.Time `json:"last_seen,omitzero"`
	Keys     []string  `json:"keys,omitempty"`
}

type doubtView struct {
	Issuer  string               `json:"issuer"`
	Kind    event.ContinuityKind `json:"kind"`
	Outcome event.Outcome        `json:"outcome"`
	At      time.Time            `json:"at"`
}

func (s *Server) adminDomains(ctx context.Context, r *http.Request) (any, error) {
	n, err := pageSize(r)
	if err != nil {
		return nil, err
	}
	docs, err := s.cfg.Store.List(ctx, s.tenant, kindDomain, "", r.URL.Query().Get("after"), n)
	if err != nil {
		return nil, s.unavailable("ledger", err)
	}
	page := domainPage{Domains: []domainView{}}
	for _, doc := range docs {
		view, err := s.viewDomain(ctx, doc)
		if err != nil {
			return nil, err
		}
		page.Domains = append(page.Domains, view)
	}
	if len(docs) == n {
		page.Next = docs[n-1].ID
	}
	return page, nil
}

func (s *Server) adminDomain(ctx context.Context, r *http.Request) (any, error) {
	_, doc, err := s.knownDomain(ctx, r.PathValue("domain"))
	if err != nil {
		return nil, err
	}
	return s.viewDomain(ctx, doc)
}

// knownDomain reads a domain that an administrator names.
func (s *Server) knownDomain(ctx context.Context, name string) (domainRecord, store.Doc, error) {
	domain, err := oauth.ParseDomain(name)
	if err != nil {
		return domainRecord{}, store.Doc{}, oauth.Errorf(oauth.CodeInvalidRequest, "domain must be an e-mail domain, such as bob.example")
	}
	rec, doc, err := load[domainRecord](ctx, s, kindDomain, domain)
	switch {
	case absent(err):
		return rec, doc, &oauth.Error{
			Code: oauth.CodeNotFound, Status: http.StatusNotFound,
			Description: "nobody of this domain was let in yet, so nothing is known of it",
		}
	case err != nil:
		return rec, doc, s.unavailable("ledger", err)
	}
	return rec, doc, nil
}

func (s *Server) viewDomain(ctx context.Context, doc store.Doc) (domainView, error) {
	rec, err := decodeRecord[domainRecord](doc)
	if err != nil {
		return domainView{}, s.unavailable("ledger", err)
	}
	addresses, err := s.cfg.Store.List(ctx, s.tenant, kindAddress, doc.ID, "", maxPage)
	if err != nil {
		return domainView{}, s.unavailable("ledger", err)
	}
	view := domainView{
		Domain: doc.ID, Delegated: rec.Delegated, Issuers: []issuerView{},
		Addresses: len(addresses), More: len(addresses) == maxPage,
	}
	for _, r := range rec.Issuers {
		view.Issuers = append(view.Issuers, issuerView{
			Issuer: r.Issuer, Known: r.Issuer == rec.Issuer, Evidence: r.Evidence,
			First: timeOf(r.First), Last: timeOf(r.Last), Keys: r.Keys,
		})
	}
	if d := rec.Doubt; d != nil {
		view.Doubt = &doubtView{Issuer: d.Issuer, Kind: d.Kind, Outcome: d.Outcome, At: timeOf(d.At)}
	}
	return view, nil
}

func timeOf(unix int64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0).UTC()
}

// adminAccept makes an issuer the known one of a domain: the one named, else the
// one that was refused or warned about last. What is reset:
//
//   - Addresses that are not known yet are welcome from this issuer, and no
//     longer from the one before.
//   - Each known address may come once with this issuer and another subject, and
//     is then known with those. Until it does, it stays known as it was.
//
// So accepting the issuer that is known already is for a provider whose subjects
// have changed. Issuers of other addresses of the domain are not touched.
func (s *Server) adminAccept(ctx context.Context, r *http.Request) (any, error) {
	var in struct {
		Domain string `json:"domain"`
		Issuer string `json:"issuer"`
	}
	if err := readAdmin(r, &in); err != nil {
		return nil, err
	}
	rec, doc, err := s.knownDomain(ctx, in.Domain)
	if err != nil {
		return nil, err
	}
	if err := rec.accept(in.Issuer); err != nil {
		return nil, err
	}
	op, err := s.inPlace(doc, "", rec)
	if err != nil {
		return nil, err
	}
	if err := s.commit(ctx, op); err != nil {
		return nil, s.changed(err)
	}
	s.administered(ctx, event.Administration{Action: "domain_accepted", Domain: doc.ID, Person: event.Person{Issuer: rec.Issuer}})
	return s.viewDomain(ctx, op.Doc)
}

func (d *domainRecord) accept(issuer string) error {
	if issuer == "" && d.Doubt == nil {
		return oauth.Errorf(oauth.CodeInvalidRequest, "nobody of this domain was refused or warned about: name the issuer to accept")
	}
	if issuer == "" {
		issuer = d.Doubt.Issuer
	}
	if _, err := oauth.ParseIssuer(issuer); err != nil {
		return oauth.Errorf(oauth.CodeInvalidRequest, "issuer must be an https URL")
	}
	r := d.issuer(issuer)
	if r == nil {
		r = d.addIssuer(issuerRecord{Issuer: issuer, Evidence: byAdministrator})
	}
	d.Accepted++
	r.Accepted = d.Accepted
	d.Issuer, d.Doubt = issuer, nil
	return nil
}

// changed is the answer to a change that could not be made.
func (s *Server) changed(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return &oauth.Error{
			Code: oauth.CodeUnavailable, Status: http.StatusConflict, Err: err,
			Description: "the ledger was changed at the same time; try again",
		}
	}
	return s.unavailable("ledger", err)
}

// forgotten says what adminForget removed.
type forgotten struct {
	Domain    string `json:"domain"`
	Addresses int    `json:"addresses"`
}

// adminForget removes a domain and all its addresses: the next who comes is
// known. The domain goes last, so that a call that breaks off can be repeated.
func (s *Server) adminForget(ctx context.Context, r *http.Request) (any, error) {
	var in struct {
		Domain string `json:"domain"`
	}
	if err := readAdmin(r, &in); err != nil {
		return nil, err
	}
	_, doc, err := s.knownDomain(ctx, in.Domain)
	if err != nil {
		return nil, err
	}
	gone := forgotten{Domain: doc.ID}
	for {
		n, err := s.forgetSome(ctx, doc.ID)
		gone.Addresses += n
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
	}
	if err := s.commit(ctx, store.Delete(doc.Key, doc.Rev)); err != nil {
		return nil, s.changed(err)
	}
	s.administered(ctx, event.Administration{Action: "domain_forgotten", Domain: doc.ID})
	return gone, nil
}

// forgetSome removes the first addresses of a domain.
func (s *Server) forgetSome(ctx context.Context, domain string) (int, error) {
	docs, err := s.cfg.Store.List(ctx, s.tenant, kindAddress, domain, "", store.MaxOps)
	if err != nil {
		return 0, s.unavailable("ledger", err)
	}
	if len(docs) == 0 {
		return 0, nil
	}
	ops := make([]store.Op, len(docs))
	for i, doc := range docs {
		ops[i] = store.Delete(doc.Key, doc.Rev)
	}
	if err := s.commit(ctx, ops...); err != nil {
		return 0, s.changed(err)
	}
	return len(ops), nil
}
