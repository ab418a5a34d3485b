package policy

import (
	"fmt"
	"maps"
	"slices"
)

// Bounds of the claims that a copy may hold. The form that carries a claims
// token has 64 KiB; who gets claims elsewhere must not copy without a bound.
const (
	maxCopyDepth = 32
	maxCopyNodes = 65536
)

// Clone copies an input, its claims in depth; the budget stays the same. Claims
// of a size or depth that no claims token has are ErrCost.
func (in *Input) Clone() (*Input, error) {
	out := *in
	out.Scopes = slices.Clone(in.Scopes)
	out.Resource.Scopes = slices.Clone(in.Resource.Scopes)
	out.Resource.Captures = maps.Clone(in.Resource.Captures)
	nodes := 0
	claims, ok := cloneMap(in.Claims, 0, &nodes)
	if !ok {
		return nil, fmt.Errorf("%w: they are too large", ErrCost)
	}
	out.Claims = claims
	return &out, nil
}

func cloneMap(m map[string]any, depth int, nodes *int) (map[string]any, bool) {
	out := make(map[string]any, min(len(m), maxCopyNodes))
	for k, v := range m {
		c, ok := cloneValue(v, depth+1, nodes)
		if !ok {
			return nil, false
		}
		out[k] = c
	}
	return out, true
}

func cloneList(l []any, depth int, nodes *int) ([]any, bool) {
	out := make([]any, 0, min(len(l), maxCopyNodes))
	for _, v := range l {
		c, ok := cloneValue(v, depth+1, nodes)
		if !ok {
			return nil, false
		}
		out = append(out, c)
	}
	return out, true
}

// cloneValue copies what JSON can nest; everything else that a decoder makes
// cannot be changed.
func cloneValue(v any, depth int, nodes *int) (any, bool) {
	if *nodes++; *nodes > maxCopyNodes || depth > maxCopyDepth {
		return nil, false
	}
	switch v := v.(type) {
	case map[string]any:
		return cloneMap(v, depth, nodes)
	case []any:
		return cloneList(v, depth, nodes)
	case []string:
		return slices.Clone(v), true
	default:
		return v, true
	}
}
