package uma

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/seal"
)

// A block is the administrator's word that a person, a domain or an issuer gets
// nothing, whatever the policies say. It lies in the store, so it holds at every
// node at once and outlives reloads. It is looked at
//
//   - before a verified party is assessed, and once more when its grant is
//     recorded: a block that is written in between is seen by the second look;
//   - whenever somebody is recalled: from a PCT, and from the decision behind a
//     grant at refresh, upgrade and introspection;
//   - by the walk that follows its writing (block_walk.go), which sees every grant
//     that was recorded before.

// kindBlock: the id is a keyed hash, so that a dump of the store names nobody. It
// expires when the block does.
const kindBlock = "block"

// Reasons, for the log.
const (
	reasonBlocked = "blocked by the administrator"
	reasonUnknown = "somebody is blocked, and whose grant this is cannot be found out any more"
)

// blockKind is what is blocked.
type blockKind string

// Kinds of blocks.
const (
	blockAddress blockKind = "address"
	blockDomain  blockKind = "domain"
	blockIssuer  blockKind = "issuer"
)

// blockable is what can be blocked, in its one spelling.
type blockable struct {
	kind  blockKind
	value string
}

// blockRecord is a block. What is blocked, and why, is sealed.
type blockRecord struct {
	version
	Kind   blockKind `json:"kind"`
	At     int64     `json:"at"`
	Until  int64     `json:"until,omitempty"` // 0 = for good
	Sealed string    `json:"sealed"`
}

// parseBlockable reads what an administrator names. Domains are exact, or *.domain
// for the subdomains, as in policies.
func parseBlockable(text string) (blockable, error) {
	if strings.HasPrefix(text, "https://") {
		if _, err := oauth.ParseIssuer(text); err == nil {
			return blockable{blockIssuer, text}, nil
		}
	} else if strings.Contains(text, "@") {
		if a, err := oauth.ParseAddress(text); err == nil {
			return blockableAddress(a), nil
		}
	} else {
		name, below := strings.CutPrefix(text, "*.")
		if domain, err := oauth.ParseDomain(name); err == nil {
			return blockableDomain(domain, below), nil
		}
	}
	return blockable{}, oauth.Errorf(oauth.CodeInvalidRequest,
		"what is blocked must be an e-mail address, a domain (bob.example, or *.bob.example for its subdomains; other scripts as xn--...) or an issuer (https://...)")
}

// blockableAddress: the local part without case, as deny rules compare.
func blockableAddress(a oauth.Address) blockable {
	return blockable{blockAddress, strings.ToLower(a.Local) + "@" + a.Domain}
}

func blockableDomain(domain string, below bool) blockable {
	if below {
		domain = "*." + domain
	}
	return blockable{blockDomain, domain}
}

// blockables are all that may be blocked to keep a party out.
func (w *party) blockables() []blockable {
	all := []blockable{blockableAddress(w.Email), blockableDomain(w.Email.Domain, false), {blockIssuer, w.Issuer}}
	for _, rest, _ := strings.Cut(w.Email.Domain, "."); strings.Contains(rest, "."); _, rest, _ = strings.Cut(rest, ".") {
		all = append(all, blockableDomain(rest, true))
	}
	return all
}

// blockID is the id of a block's document.
func blockID(key [32]byte, b blockable) string {
	return keyedHash(key, "block\x00"+string(b.kind)+"\x00"+b.value)
}

// anyBlocked tells whether there are blocks at all: mostly there are none, and then
// nobody has to be found out.
func (s *Server) anyBlocked(ctx context.Context) (bool, error) {
	some, err := s.cfg.Store.List(ctx, s.tenant, kindBlock, "", "", 1)
	if err != nil {
		return false, s.unavailable("blocks", err)
	}
	return len(some) > 0, nil
}

// isBlocked tells whether a party is blocked now.
func (s *Server) isBlocked(ctx context.Context, who *party) (bool, error) {
	if some, err := s.anyBlocked(ctx); err != nil || !some {
		return false, err
	}
	_, key, err := s.cfg.SubjectKeys.Current(ctx)
	if err != nil {
		return false, s.unavailable("subject key", err)
	}
	for _, b := range who.blockables() {
		_, err := s.cfg.Store.Get(ctx, s.key(kindBlock, blockID(key, b)))
		if err == nil {
			return true, nil
		}
		if !absent(err) {
			return false, s.unavailable("blocks", err)
		}
	}
	return false, nil
}

// refuseBlocked ends a process whose party is blocked, and the PCT that named it.
func (s *Server) refuseBlocked(ctx context.Context, p *process) error {
	blocked, err := s.isBlocked(ctx, p.party)
	if err != nil || !blocked {
		return err
	}
	if p.party.source == fromPCT {
		ops, err := s.deletePCT(ctx, hashID(p.pct))
		if err != nil {
			return err
		}
		if err := s.commit(ctx, ops...); err != nil {
			return s.unavailable("PCT", err)
		}
	}
	return denied(reasonBlocked)
}

// blockedMeanwhile ends a grant that was recorded while its party was being
// blocked. Whoever writes a block walks the grants afterwards: what was recorded
// before it was written is seen there, and what was recorded after it, here.
func (s *Server) blockedMeanwhile(ctx context.Context, p *process, id string) error {
	blocked, err := s.isBlocked(ctx, p.party)
	if err != nil || !blocked {
		return err
	}
	if err := s.endGrant(ctx, id, reasonBlocked, true); err != nil {
		return err
	}
	return denied(reasonBlocked)
}

// endBlocked ends a grant whose party is blocked. The walk does that at once; this
// is for what it could not reach.
func (s *Server) endBlocked(ctx context.Context, g *grant) (ended bool, err error) {
	if some, err := s.anyBlocked(ctx); err != nil || !some {
		return false, err
	}
	reason, err := s.blockedFor(ctx, g.rec, func(who *party) (bool, error) { return s.isBlocked(ctx, who) })
	if err != nil || reason == "" {
		return false, err
	}
	return true, s.endGrant(ctx, g.id, reason, true)
}

// blockedFor says why a grant has to end, "" if it need not. One whose party cannot
// be read any more ends, too: it may be the one.
func (s *Server) blockedFor(ctx context.Context, rec grantRecord, hits func(*party) (bool, error)) (reason string, err error) {
	_, who, _, err := s.pastDecision(ctx, rec.DecisionID)
	if unreadable(err) {
		return reasonUnknown, nil
	}
	if err != nil {
		return "", s.unavailable("decision", err)
	}
	hit, err := hits(who)
	if err != nil || !hit {
		return "", err
	}
	return reasonBlocked, nil
}

// blockBox seals blocks. Their key is made of the subject key, because that one
// never rotates: a block may stand for good.
func (s *Server) blockBox(key [32]byte, id string) (*seal.Box, []string, error) {
	keys, err := seal.FromSecret(hex.EncodeToString(key[:]), kindBlock)
	if err != nil {
		return nil, nil, err
	}
	return seal.NewBox(keys), []string{kindBlock, s.cfg.Issuer, id}, nil
}
