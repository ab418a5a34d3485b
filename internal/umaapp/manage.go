package umaapp

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// keyRow is a key in an answer of the admin API: nothing of the key itself.
type keyRow struct {
	Role        string        `json:"role"`
	Issuer      string        `json:"issuer"`
	Purpose     string        `json:"purpose"`
	KID         string        `json:"kid"`
	Alg         string        `json:"alg"`
	Created     time.Time     `json:"created"`
	NotBefore   time.Time     `json:"not_before"`
	RetireAfter time.Time     `json:"retire_after,omitzero"`
	State       jose.KeyState `json:"state"`
}

// reach says, in seconds, how long others may go on with what they know.
type reach struct {
	// OtherNodes look into storage for what this node changed.
	OtherNodes float64 `json:"other_nodes"`
	// BeforeUse is how long a next key is published before it signs.
	BeforeUse float64 `json:"before_use"`
	// KeySets is how long programs of this configuration keep a key set, and
	// KeySetsStale how long if they cannot fetch it.
	KeySets      float64 `json:"key_sets"`
	KeySetsStale float64 `json:"key_sets_stale"`
	// Refetch is the least time between two fetches because of an unknown key.
	Refetch float64 `json:"refetch"`
	// Default is how long this program keeps a key set where it is not set.
	Default float64 `json:"key_sets_default"`
}

func (a *App) reach() reach {
	_, age, pause := a.Cache()
	return reach{
		OtherNodes: (jose.Relist + jose.StorageTimeout).Seconds(), BeforeUse: jose.Overlap.Seconds(),
		KeySets: age.Seconds(), KeySetsStale: (jose.StaleFactor * age).Seconds(),
		Refetch: pause.Seconds(), Default: defaultMaxAge.Seconds(),
	}
}

// managedRing is a ring with its name.
type managedRing struct {
	ringKey
	*jose.Ring
}

func (m managedRing) row(k jose.KeyInfo) keyRow {
	return keyRow{m.role, m.issuer, m.purpose, k.KID, k.Alg, k.Created.UTC(), k.NotBefore.UTC(), k.RetireAfter.UTC(), k.State}
}

// ringsOf are the rings of this configuration that fit; an empty member of which
// fits all.
func (a *App) ringsOf(which ringKey) []managedRing {
	fits := func(want, have string) bool { return want == "" || want == have }
	a.ringsMu.Lock()
	defer a.ringsMu.Unlock()
	var rings []managedRing
	for key, e := range a.rings {
		if fits(which.role, key.role) && fits(which.issuer, key.issuer) && fits(which.purpose, key.purpose) {
			rings = append(rings, managedRing{key, e.ring})
		}
	}
	slices.SortFunc(rings, func(x, y managedRing) int {
		return cmp.Or(cmp.Compare(x.issuer, y.issuer), cmp.Compare(x.role, y.role), cmp.Compare(x.purpose, y.purpose))
	})
	return rings
}

// keyIssuers are those that have keys, sorted.
func (a *App) keyIssuers() []string {
	var issuers []string
	for _, r := range a.ringsOf(ringKey{}) {
		issuers = append(issuers, r.issuer)
	}
	return slices.Compact(issuers)
}

func listKeys(ctx context.Context, rings []managedRing) ([]keyRow, error) {
	rows := []keyRow{}
	for _, r := range rings {
		keys, err := r.Keys(ctx)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			rows = append(rows, r.row(k))
		}
	}
	return rows, nil
}

// rotateKeys makes the next key of each ring. What is done stays done if one
// fails: asking again makes no second one.
func (a *App) rotateKeys(ctx context.Context, rings []managedRing) ([]keyRow, error) {
	rows := []keyRow{}
	for _, r := range rings {
		next, err := r.Rotate(ctx)
		if errors.Is(err, jose.ErrNeverRotates) && len(rings) > 1 {
			continue // it was not asked for by name
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, r.row(next))
		a.log.Info("keys are rotated by command", zap.String("role", r.role), zap.String("issuer", r.issuer),
			zap.String("purpose", r.purpose), zap.String("kid", next.KID), zap.Time("not_before", next.NotBefore))
	}
	return rows, nil
}

// retirement is the answer to who retires a key.
type retirement struct {
	Key  keyRow `json:"key"`
	Used keyRow `json:"used"`
	// Lost says what dies with the key.
	Lost  string `json:"lost"`
	Reach reach  `json:"reach"`
}

// retireKey finds the key among the rings and retires it.
func (a *App) retireKey(ctx context.Context, rings []managedRing, kid, reason string) (*retirement, error) {
	for _, r := range rings {
		keys, err := r.Keys(ctx)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(keys, func(k jose.KeyInfo) bool { return k.KID == kid }) {
			continue
		}
		retired, used, err := r.Retire(ctx, kid)
		if retired.KID != "" { // also if only the key after it could not be made
			a.log.Warn("a key is retired by command", zap.String("role", r.role), zap.String("issuer", r.issuer),
				zap.String("purpose", r.purpose), zap.String("kid", kid), zap.String("reason", reason))
		}
		if err != nil {
			return &retirement{Key: r.row(retired)}, err
		}
		return &retirement{Key: r.row(retired), Used: r.row(used), Lost: lost[r.purpose], Reach: a.reach()}, nil
	}
	return nil, jose.ErrNoKey
}

// lost says what dies with a key of each purpose.
var lost = map[string]string{ //nolint:gochecknoglobals // a table of constants
	"rpt":           "every RPT that it signed: clients ask for new ones",
	"introspection": "signed introspection responses that it signed: resource servers ask again",
	"status":        "status lists that it signed: resource servers read them again",
	"assertion":     "identity assertions that it signed",
	"claims":        "claims tokens that it signed and no authorization server has taken yet: clients exchange again",
	"id-token":      "ID tokens that it signed: people may have to log in again at applications",
	"ticket":        "permission tickets that it sealed: clients begin again at the resource",
	"grant":         "what is remembered of requesting parties under it: their refresh tokens and PCTs find no claims, so they show claims again",
	"nonce":         "DPoP nonces that it made: clients repeat the request with a new one",
	"op":            "codes and cookies of the provider that it sealed: people log in again",
	"audit":         "nothing, but hashes of e-mail addresses in the log uma.audit differ from those before",
}
