package cel

import (
	"encoding/json"
	"fmt"

	"cel.dev/cel-go/common/types/ref"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

// Bounds of one claim that a condition looks at, and of all of them together
// for a condition that looks at the claims as such. They keep a single step of
// an evaluation short, whose cost is known only when it is done.
const (
	maxClaimDepth = 16
	maxClaimNodes = 8192
	maxClaimBytes = 65536 // of texts and names
	maxClaimText  = 4096  // bytes of a single text; no literal can be longer
)

// weigh refuses claims that are too large for this condition. Those that it
// does not look at may be as large as they like: a picture in the claims keeps
// nobody out.
func (f *facts) weigh(in *policy.Input) error {
	if f.whole {
		if w := (weight{}); !w.add(in.Claims, 0) {
			return fmt.Errorf("%w: they are too large", ErrCost)
		}
		return nil
	}
	for _, name := range f.named {
		if w := (weight{}); !w.add(in.Claims[name], 1) {
			return fmt.Errorf("%w: %s.%s is too large", ErrCost, nameClaims, name)
		}
	}
	return nil
}

// weight is what was counted so far.
type weight struct{ nodes, bytes int }

// add counts a value and what is in it, and stops at the first bound. The value
// is one of a JSON decoder, or one that CEL made of them.
func (w *weight) add(value any, depth int) bool {
	if w.nodes++; w.nodes > maxClaimNodes || depth > maxClaimDepth {
		return false
	}
	switch v := value.(type) {
	case string:
		return w.text(v)
	case json.Number:
		return w.text(v.String())
	case []string:
		return addList(w, v, depth)
	case []any:
		return addList(w, v, depth)
	case []ref.Val:
		return addList(w, v, depth)
	case map[string]any:
		return addMap(w, v, depth)
	case map[ref.Val]ref.Val:
		return addMap(w, v, depth)
	default:
		return w.addMade(value, depth)
	}
}

// addMade counts a list or map of CEL by what it is made of.
func (w *weight) addMade(value any, depth int) bool {
	v, ok := value.(ref.Val)
	if !ok || !isContainer(v) {
		return true
	}
	w.nodes--
	return w.add(v.Value(), depth+1)
}

func (w *weight) text(s string) bool {
	w.bytes += len(s)
	return len(s) <= maxClaimText && w.bytes <= maxClaimBytes
}

func addList[E any](w *weight, list []E, depth int) bool {
	for _, e := range list {
		if !w.add(e, depth+1) {
			return false
		}
	}
	return true
}

func addMap[K comparable, V any](w *weight, object map[K]V, depth int) bool {
	for k, v := range object {
		if name, ok := any(k).(string); ok && !w.text(name) || !w.add(v, depth+1) {
			return false
		}
	}
	return true
}
