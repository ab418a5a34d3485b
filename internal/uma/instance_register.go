package uma

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// registerInstances gives the ops that register the instances among the
// permissions of a new grant, or make them last as long as it can. They are part
// of the commit that writes the grant. Of several nodes that register one instance
// at once one writes it; the others come again and find it.
func (s *Server) registerInstances(ctx context.Context, p *process, granted []oauth.Permission) ([]store.Op, error) {
	var ops []store.Op
	for _, permission := range granted {
		if len(permission.ResourceID) != instanceIDLength {
			continue
		}
		more, err := s.registerInstance(ctx, p, permission.ResourceID, ops)
		if err != nil {
			return nil, err
		}
		ops = append(ops, more...)
	}
	return ops, nil
}

// registerInstance does it for one of them; before are the ops so far.
func (s *Server) registerInstance(ctx context.Context, p *process, id string, before []store.Op) ([]store.Op, error) {
	rec, doc, err := load[instanceRecord](ctx, s, kindInstance, id)
	if err != nil && !absent(err) {
		return nil, s.unavailable("instance", err)
	}
	needed, until := s.instanceLife()
	if err == nil {
		if !doc.Expires.Before(needed) {
			return nil, nil
		}
		return s.prolong(ctx, doc, rec, until)
	}
	i := slices.IndexFunc(p.asked, func(r requested) bool { return r.id == id })
	if i < 0 || p.asked[i].rec.of == nil {
		return nil, denied("an instance that was granted before is not registered any more")
	}
	return s.newInstance(ctx, p.asked[i].rec, until, before)
}

// instanceLife says until when an instance is needed that is granted now, and until
// when it is written: a little longer, so that an instance which is granted all the
// time is not written all the time. DecisionRetention outlasts every grant.
func (s *Server) instanceLife() (needed, until time.Time) {
	life := s.cfg.DecisionRetention()
	needed = s.cfg.Now().Add(life + 2*s.cfg.Leeway)
	return needed, needed.Add(life / 8)
}

func (s *Server) newInstance(ctx context.Context, pattern resourceRecord, until time.Time, before []store.Op) ([]store.Op, error) {
	key := *pattern.of
	slot, found, err := s.freeSlot(ctx, key.Pattern, pattern.maxInstances(), before)
	if err != nil {
		return nil, s.unavailable("instances", err)
	}
	if !found {
		return nil, s.fullPattern(key.Pattern, pattern)
	}
	rec := instanceRecord{version: version{currentVersion}, ResourceServer: pattern.ResourceServer, instanceKey: key, Slot: slot}
	docs, err := s.instanceDocs(key.id(), rec, until)
	if err != nil {
		return nil, err
	}
	return []store.Op{store.Create(docs[0]), store.Create(docs[1])}, nil
}

// instanceDocs are the instance and its slot, which end together.
func (s *Server) instanceDocs(id string, rec instanceRecord, until time.Time) ([2]store.Doc, error) {
	instance, err := s.doc(kindInstance, id, rec.Pattern, until, rec)
	if err != nil {
		return [2]store.Doc{}, err
	}
	slot, err := s.doc(kindSlot, slotID(rec.Pattern, rec.Slot), rec.Pattern, until, slotRecord{version{currentVersion}, rec.Slot})
	return [2]store.Doc{instance, slot}, err
}

// prolong makes an instance last longer.
func (s *Server) prolong(ctx context.Context, doc store.Doc, rec instanceRecord, until time.Time) ([]store.Op, error) {
	docs, err := s.instanceDocs(doc.ID, rec, until)
	if err != nil {
		return nil, err
	}
	slot, err := s.cfg.Store.Get(ctx, docs[1].Key)
	if err != nil {
		return nil, s.unavailable("instance", err)
	}
	docs[0].Rev, docs[1].Rev = doc.Rev, slot.Rev
	return []store.Op{store.Swap(docs[0]), store.Swap(docs[1])}, nil
}

func (rec resourceRecord) maxInstances() int {
	if rec.MaxInstances > 0 {
		return rec.MaxInstances
	}
	return defaultInstances
}

// fullPattern refuses one more instance of a pattern; what is granted already goes
// on working.
func (s *Server) fullPattern(id string, pattern resourceRecord) error {
	name := pattern.Texts["name"]
	s.cfg.Log.Warn("a pattern has as many instances as it may have: further ones are not granted until older ones expire; raise max_instances of its resource server, or write a pattern with fewer captures",
		zap.String("issuer", s.cfg.Issuer), zap.String("resource_server", pattern.ResourceServer), zap.String("resource", name),
		zap.String("resource_id", id), zap.Int("max_instances", pattern.maxInstances()))
	return denied(fmt.Sprintf("the pattern '%s' has as many instances as it may have (max_instances %d)", name, pattern.maxInstances()))
}

// claimedByAnother tells a commit that lost against another node, or request, that
// registered the same instance or took the same slot at once.
func claimedByAnother(err error) bool {
	var op *store.OpError
	return errors.As(err, &op) && errors.Is(op, store.ErrExists) && (op.Key.Kind == kindInstance || op.Key.Kind == kindSlot)
}
