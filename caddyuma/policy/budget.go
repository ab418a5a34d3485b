package policy

import (
	"math"
	"sync"
	"sync/atomic"
)

// DefaultBudget is enough for ten conditions that each cost as much as one may,
// or for some thousand of the usual kind: `"staff" in claims.groups` costs 100
// with a thousand groups, and 5 with a few.
const DefaultBudget = 100_000

// Budget is what the evaluation of policies may still cost, in CEL's cost
// units: one is about an operation on small values, a look at a claim, ten bytes
// of a text that is read or ten entries of a list that is searched, and takes
// about a microsecond. It is safe for concurrent use.
//
// A nil *Budget has no bound.
type Budget struct{ left atomic.Uint64 }

// NewBudget makes a budget of some units.
func NewBudget(units uint64) *Budget {
	b := &Budget{}
	b.left.Store(units)
	return b
}

// Take takes n units. If fewer are left it takes none and says false.
func (b *Budget) Take(n uint64) bool {
	if b == nil {
		return true
	}
	for {
		left := b.left.Load()
		if n > left {
			return false
		}
		if b.left.CompareAndSwap(left, left-n) {
			return true
		}
	}
}

// Left is how many units are left and not reserved.
func (b *Budget) Left() uint64 {
	if b == nil {
		return math.MaxUint64
	}
	return b.left.Load()
}

// Reserve takes what is left, at most most units, for work whose cost is known
// only afterwards. settle gives back what was granted and not used; it counts
// once, and no work that is charged with more than was granted gets more than
// that. Reserved units are out of the reach of others until then, so that all
// of them together never cost more than the budget.
func (b *Budget) Reserve(most uint64) (granted uint64, settle func(used uint64)) {
	if b == nil {
		return most, func(uint64) {}
	}
	for {
		granted = min(most, b.Left())
		if b.Take(granted) {
			break
		}
	}
	var once sync.Once
	return granted, func(used uint64) {
		once.Do(func() { b.left.Add(granted - min(used, granted)) })
	}
}
