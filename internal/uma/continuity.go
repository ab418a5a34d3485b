package uma

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// ledgerTries is how often a change of the ledger is tried when others change it
// at the same time. Each loss means that somebody else's change is in, and most
// changes are then not needed any more.
const ledgerTries = 4

// lastSeen is how exact the ledger's last-seen times are: so often it is written.
const lastSeen = 24 * time.Hour

// continuity compares who is about to be let in with whom the ledger knows, and
// takes down what is new (CONFORMANCE SEC-27). Only here is it written, so that
// strangers cannot fill it.
//
// The address comes first, because WebFinger may name another issuer for each
// address of one domain (CONFORMANCE A14):
//
//   - A known address must come with the (iss, sub) that it is known with. What
//     the domain's issuer is then does not matter.
//   - An address that is not known yet must come from the issuer that its domain
//     is known with. A second issuer need not be an attack, so it stops only who
//     is let in by name; others are let in with a warning.
//   - An issuer that the administrator pinned, or accepted for the domain since
//     the address was taken down, is his own word and is no surprise. Another
//     subject at the same pinned issuer is.
//
// With deny, who is in doubt is refused; with warn, he is let in, and the issuer
// is taken down beside the known one without becoming known, so the warning comes
// again until the administrator accepts or forgets. With off nothing is compared,
// and the newest (iss, sub) of an address is the known one.
func (s *Server) continuity(ctx context.Context, p *process, deciding []Policy) error {
	mode := s.continuityFor(p.party.Email, deciding)
	for try := 1; ; try++ {
		e, err := s.lookBack(ctx, p.party)
		if err != nil {
			return err
		}
		kind := e.doubt()
		if mode == ContinuityOff {
			kind = ""
		}
		err = s.takeDown(ctx, &e, kind, mode)
		if err == nil {
			return s.doubted(ctx, p, e, kind, mode)
		}
		race := errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict)
		if !race || try == ledgerTries {
			return s.unavailable("ledger", err)
		}
	}
}

// continuityFor: if nothing is configured, a policy that names the address is
// strict, because it means this person and nobody else.
func (s *Server) continuityFor(a oauth.Address, deciding []Policy) Continuity {
	if s.cfg.Continuity != ContinuityDefault {
		return s.cfg.Continuity
	}
	for _, policy := range deciding {
		if slices.Contains(policy.From.Addresses, a) {
			return ContinuityDeny
		}
	}
	return ContinuityWarn
}

// ledgerEntry is what the ledger knows of a person's address and domain. A
// document that is not there has revision 0.
type ledgerEntry struct {
	who      *party
	identity string
	now      int64

	address    addressRecord
	addressDoc store.Doc
	domain     domainRecord
	domainDoc  store.Doc
}

func (s *Server) lookBack(ctx context.Context, who *party) (ledgerEntry, error) {
	e := ledgerEntry{who: who, now: s.cfg.Now().Unix()}
	_, key, err := s.cfg.SubjectKeys.Current(ctx)
	if err != nil {
		return e, s.unavailable("subject key", err)
	}
	e.identity = keyedHash(key, "identity\x00"+who.Issuer+"\x00"+who.Subject)
	id := keyedHash(key, "address\x00"+who.Email.String())
	if e.address, e.addressDoc, err = load[addressRecord](ctx, s, kindAddress, id); err != nil && !absent(err) {
		return e, s.unavailable("ledger", err)
	}
	if e.domain, e.domainDoc, err = load[domainRecord](ctx, s, kindDomain, who.Email.Domain); err != nil && !absent(err) {
		return e, s.unavailable("ledger", err)
	}
	e.addressDoc.Key, e.domainDoc.Key = s.key(kindAddress, id), s.key(kindDomain, who.Email.Domain)
	return e, nil
}

// keyedHash is how the ledger names people: a dump of the store without the key
// shows no address and cannot be searched for one (UMA Grant §6.2).
func keyedHash(key [32]byte, text string) string {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// doubt says what is not as it was; "" = nothing.
func (e *ledgerEntry) doubt() event.ContinuityKind {
	pinned := e.who.evidence == discovery.ByPin
	switch {
	case e.addressDoc.Rev > 0:
		moved := e.address.Issuer != e.who.Issuer
		if e.address.Identity == e.identity || moved && pinned || e.domain.acceptedSince(e.address.Accepted, e.who.Issuer) {
			return ""
		}
		return event.KnownAddress
	case e.domain.Issuer != "" && e.domain.Issuer != e.who.Issuer && !pinned:
		return event.KnownDomain
	}
	return ""
}

// remember changes the records as the outcome demands, and says which of them
// have to be written.
func (e *ledgerEntry) remember(kind event.ContinuityKind, mode Continuity) (domain, address bool) {
	switch {
	case kind == "":
		domain = e.domain.see(e.who, e.now)
		return domain, e.seeAddress()
	case mode == ContinuityDeny:
		return e.domain.doubtful(e.who.Issuer, kind, event.Denied, e.now), false
	default:
		domain = e.domain.see(e.who, e.now)
		return e.domain.doubtful(e.who.Issuer, kind, event.Warned, e.now) || domain, false
	}
}

// takeDown writes what is to be remembered, if there is anything new.
func (s *Server) takeDown(ctx context.Context, e *ledgerEntry, kind event.ContinuityKind, mode Continuity) error {
	domain, address := e.remember(kind, mode)
	var ops []store.Op
	if domain {
		op, err := s.inPlace(e.domainDoc, "", e.domain)
		if err != nil {
			return err
		}
		ops = append(ops, op)
	}
	if address {
		op, err := s.inPlace(e.addressDoc, e.who.Email.Domain, e.address)
		if err != nil {
			return err
		}
		ops = append(ops, op)
	}
	if len(ops) == 0 {
		return nil
	}
	return s.commit(ctx, ops...)
}

// inPlace gives the op that writes a record in place of the document that was
// read.
func (s *Server) inPlace(was store.Doc, index string, rec record) (store.Op, error) {
	doc, err := s.doc(was.Kind, was.ID, index, time.Time{}, rec)
	return over(was.Rev, doc), err
}

// doubted tells about a doubt and says what follows.
func (s *Server) doubted(ctx context.Context, p *process, e ledgerEntry, kind event.ContinuityKind, mode Continuity) error {
	if kind == "" {
		return nil
	}
	ev := event.Continuity{
		Issuer: s.cfg.Issuer, DecisionID: p.decision.DecisionID, Person: p.party.person(), Domain: p.party.Email.Domain,
		Kind: kind, Known: e.domain.Issuer, Seen: p.party.Issuer, Outcome: event.Warned,
	}
	if kind == event.KnownAddress {
		ev.Known = e.address.Issuer
	}
	if mode == ContinuityDeny {
		ev.Outcome = event.Denied
	}
	s.cfg.Observe(ctx, ev)
	switch {
	case mode != ContinuityDeny:
		return nil
	case kind == event.KnownAddress:
		return denied("the address is known with another issuer or subject (continuity)")
	default:
		return denied("the domain is known with another issuer (continuity)")
	}
}
