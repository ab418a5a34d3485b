package uma

import (
	"context"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Kinds of the ledger. The id of an address is its keyed hash, its index the
// domain; the id of a domain is the domain. Neither expires: a domain that was
// once seen with a delegation never falls back (CONFORMANCE A13).
const (
	kindAddress = "address"
	kindDomain  = "domain"
)

// What is kept of one domain is bounded; the newest is kept.
const (
	maxIssuers = 8
	maxKeys    = 8
)

// byAdministrator is the evidence of an issuer that was accepted and has let
// nobody in since.
const byAdministrator = "accepted"

// addressRecord is who was let in under an address. The issuer stands in clear,
// because it names a provider; the subject does not, because it may be an
// address itself.
type addressRecord struct {
	version
	Issuer   string `json:"iss"`
	Identity string `json:"identity"` // keyed hash of iss and sub
	Evidence string `json:"evidence"`
	First    int64  `json:"first"`
	Last     int64  `json:"last"`
	// Accepted is the domain's count when this was taken down.
	Accepted int `json:"accepted,omitempty"`
}

// domainRecord is what is known of a domain whose people were let in.
type domainRecord struct {
	version
	// Issuer is the known one, Issuers are all that were seen.
	Issuer  string         `json:"iss"`
	Issuers []issuerRecord `json:"issuers"`
	// Delegated: WebFinger named an issuer at least once.
	Delegated bool `json:"delegated,omitempty"`
	// Accepted counts what the administrator accepted. It is a count and not a
	// time, so that no clock decides which came first.
	Accepted int `json:"accepted,omitempty"`
	// Doubt is the latest one.
	Doubt *doubtRecord `json:"doubt,omitempty"`
}

// issuerRecord is an issuer that vouched for people of a domain.
type issuerRecord struct {
	Issuer   string `json:"iss"`
	Evidence string `json:"evidence"`
	First    int64  `json:"first"`
	Last     int64  `json:"last"`
	// Keys are thumbprints (RFC 7638) of the keys that signed, the newest last.
	Keys []string `json:"keys,omitempty"`
	// Accepted is the domain's count when the administrator accepted it.
	Accepted int `json:"accepted,omitempty"`
}

// doubtRecord is who was refused or warned about.
type doubtRecord struct {
	Issuer  string               `json:"iss"`
	Kind    event.ContinuityKind `json:"kind"`
	Outcome event.Outcome        `json:"outcome"`
	At      int64                `json:"at"`
}

// seeAddress takes down the person under the address. It says whether anything
// changed that is worth writing.
func (e *ledgerEntry) seeAddress() bool {
	a := &e.address
	if a.Identity != e.identity {
		*a = addressRecord{
			version: version{currentVersion}, Issuer: e.who.Issuer, Identity: e.identity, Evidence: e.who.evidence,
			First: e.now, Last: e.now, Accepted: e.domain.Accepted,
		}
		return true
	}
	if a.Evidence == e.who.evidence && !longAgo(a.Last, e.now) {
		return false
	}
	a.Evidence, a.Last = e.who.evidence, e.now
	return true
}

// longAgo: last-seen times are written once a day.
func longAgo(last, now int64) bool {
	return time.Duration(now-last)*time.Second >= lastSeen
}

// see takes down that an issuer vouched for somebody of the domain.
func (d *domainRecord) see(who *party, now int64) (changed bool) {
	d.V = currentVersion
	r := d.issuer(who.Issuer)
	if r == nil {
		r, changed = d.addIssuer(issuerRecord{Issuer: who.Issuer, First: now}), true
	}
	if r.see(who, now) {
		changed = true
	}
	if who.evidence == discovery.ByWebFinger && !d.Delegated {
		d.Delegated, changed = true, true
	}
	// A pin is the administrator's word.
	if d.Issuer == "" || who.evidence == discovery.ByPin && d.Issuer != who.Issuer {
		d.Issuer, changed = who.Issuer, true
	}
	return changed
}

func (r *issuerRecord) see(who *party, now int64) (changed bool) {
	if r.Evidence != who.evidence || longAgo(r.Last, now) {
		r.Evidence, r.Last, changed = who.evidence, now, true
	}
	if who.key == "" || slices.Contains(r.Keys, who.key) {
		return changed
	}
	r.Keys = append(r.Keys, who.key)
	r.Keys = r.Keys[max(0, len(r.Keys)-maxKeys):]
	return true
}

func (d *domainRecord) issuer(issuer string) *issuerRecord {
	for i := range d.Issuers {
		if d.Issuers[i].Issuer == issuer {
			return &d.Issuers[i]
		}
	}
	return nil
}

// addIssuer drops the one that was not seen for longest, but not the known one,
// if there are too many.
func (d *domainRecord) addIssuer(r issuerRecord) *issuerRecord {
	if len(d.Issuers) >= maxIssuers {
		oldest := -1
		for i, other := range d.Issuers {
			if other.Issuer != d.Issuer && (oldest < 0 || other.Last < d.Issuers[oldest].Last) {
				oldest = i
			}
		}
		d.Issuers = slices.Delete(d.Issuers, oldest, oldest+1)
	}
	d.Issuers = append(d.Issuers, r)
	return &d.Issuers[len(d.Issuers)-1]
}

// acceptedSince tells whether the administrator accepted the issuer after the
// count stood at n.
func (d *domainRecord) acceptedSince(n int, issuer string) bool {
	r := d.issuer(issuer)
	return r != nil && r.Accepted > n
}

// doubtful takes down the latest doubt; the same one only once a day.
func (d *domainRecord) doubtful(issuer string, kind event.ContinuityKind, outcome event.Outcome, now int64) (changed bool) {
	d.V = currentVersion
	is := doubtRecord{Issuer: issuer, Kind: kind, Outcome: outcome, At: now}
	if d.Doubt != nil {
		was := *d.Doubt
		was.At = now
		if was == is && !longAgo(d.Doubt.At, now) {
			return false
		}
	}
	d.Doubt = &is
	return true
}

// Ledger is what discovery may ask of the ledger of one authorization server. It
// is made before the Server is, whose Config holds the Finder that asks.
type Ledger struct {
	store  store.Store
	tenant string
}

// LedgerOf gives the ledger of an authorization server. It reads nothing.
func LedgerOf(st store.Store, issuer string) Ledger {
	return Ledger{store: st, tenant: store.Tenant("as", issuer)}
}

// WasDelegated tells whether somebody was let in whose issuer WebFinger at this
// domain named: then there is no fallback for the domain any more (CONFORMANCE
// A13, SEC-27).
func (l Ledger) WasDelegated(ctx context.Context, domain string) (bool, error) {
	doc, err := l.store.Get(ctx, store.Key{Tenant: l.tenant, Kind: kindDomain, ID: domain})
	if absent(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	rec, err := decodeRecord[domainRecord](doc)
	return rec.Delegated, err
}
