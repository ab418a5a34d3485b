// Package event says what happened, as values. Each engine calls its Observe
// exactly once per outcome; internal/umaapp makes the log line, the
// counter, the Caddy event, the span and the audit line of it.
//
// An event never holds a credential: no ticket, no token, no secret. The
// person's address stands in Person alone, which only the audit log may show.
package event

import (
	"context"
	"time"
)

// Observe takes an event. It must return quickly and must not panic; a nil
// Observe is replaced by None.
type Observe func(context.Context, Event)

// None observes nothing.
func None(context.Context, Event) {}

// Event is one of the structs below.
type Event interface {
	// Name is the name of the event in logs.
	Name() string
}

// Outcome of a decision, an exchange or a check.
type Outcome string

// Outcomes.
const (
	Granted  Outcome = "granted"
	Denied   Outcome = "denied"
	NeedInfo Outcome = "need_info"
	Refused  Outcome = "refused" // a malformed or unauthenticated request
	Failed   Outcome = "failed"  // we could not do our part (storage, keys)
	Warned   Outcome = "warn"    // let through, but somebody should look
)

// Person is who a claims token or RPT speaks of.
type Person struct{ Issuer, Subject, Email string }

// TicketIssued: the permission endpoint issued a permission ticket.
type TicketIssued struct {
	Issuer, ResourceServer, Owner string
	TicketChallenge               string
	ResourceIDs                   []string
}

// Name implements Event.
func (TicketIssued) Name() string { return "ticket_issued" }

// Exchange: the security token service answered a token exchange.
type Exchange struct {
	Issuer, ClientID, Target, TicketChallenge string
	// IssuedTo is the client whose access token another one, ClientID, exchanged
	// (may_act); "" = its own.
	IssuedTo string
	Person   Person
	Outcome  Outcome
	Reason   string
}

// Name implements Event.
func (Exchange) Name() string { return "exchange" }

// Decision: the authorization server answered a request with the UMA grant.
type Decision struct {
	Issuer, DecisionID, ClientID, ResourceServer, Owner string
	ResourceIDs                                         []string
	TicketChallenge                                     string
	Person                                              Person
	Outcome                                             Outcome
	Reason                                              string
	// Policy is the name of the policy that decided, Evidence how the person's
	// provider was found.
	Policy, Evidence string
	// Revision identifies the policies; Shadow says what shadow policies would
	// have changed.
	Revision string
	Shadow   []string
}

// Name implements Event.
func (Decision) Name() string { return "decision" }

// Replay: a ticket was presented a second time.
type Replay struct {
	Issuer, ClientID, ResourceServer, TicketChallenge string
}

// Name implements Event.
func (Replay) Name() string { return "replay" }

// Revocation: a grant, or one RPT of it, ended before its time.
type Revocation struct {
	Issuer, ClientID, ResourceServer, DecisionID string
	Reason                                       string
}

// Name implements Event.
func (Revocation) Name() string { return "revocation" }

// Block: an administrator blocked an address (Person.Email), a domain or an issuer
// (Person.Issuer), or took that back.
type Block struct {
	Issuer string // of the authorization server
	Kind   string // address, domain, issuer
	Domain string
	Person Person
	// Reason is the administrator's, who may have named people in it: it is for the
	// audit log alone.
	Reason string
	Until  time.Time // zero = for good
	Ended  int       // grants that ended
	Lifted bool
}

// Name implements Event.
func (b Block) Name() string {
	if b.Lifted {
		return "unblock"
	}
	return "block"
}

// ContinuityKind is what is not as it was.
type ContinuityKind string

// Kinds of doubt.
const (
	KnownAddress ContinuityKind = "address" // a known address with another issuer or subject
	KnownDomain  ContinuityKind = "domain"  // a known domain with another issuer
)

// Continuity: somebody would be let in who is not as the ledger knows him.
// Outcome is Warned or Denied.
type Continuity struct {
	Issuer, DecisionID string
	Person             Person
	Domain             string
	Kind               ContinuityKind
	Known, Seen        string // issuers; equal if only the subject is another
	Outcome            Outcome
}

// Name implements Event.
func (Continuity) Name() string { return "continuity" }

// RPTCheck: a resource server let a request with an RPT through or refused it.
type RPTCheck struct {
	Issuer, ResourceServer, Resource, ClientID, Subject, DecisionID string
	Source                                                          string // local, introspection, cache
	Outcome                                                         Outcome
	Reason                                                          string
}

// Name implements Event.
func (RPTCheck) Name() string { return "rpt_check" }

// Discovery: the provider of an e-mail address was looked up at the network
// (answers from the cache are no event).
type Discovery struct {
	Domain, IssuerFound, Evidence string
	Outcome                       Outcome
	Reason                        string
}

// Name implements Event.
func (Discovery) Name() string { return "discovery" }

// Consent: a user of the embedded provider agreed that a target learns something
// about him through a client, or did not (Outcome), or took that back (Reason).
type Consent struct {
	Issuer, ClientID, Target string
	Person                   Person
	Outcome                  Outcome
	Reason                   string
}

// Name implements Event.
func (Consent) Name() string { return "consent" }

// Login: a user of the embedded provider logged in, or tried to.
type Login struct {
	Issuer, ClientID, Method string // form, session, challenge, device
	Person                   Person
	Outcome                  Outcome
	Reason                   string
}

// Name implements Event.
func (Login) Name() string { return "login" }
