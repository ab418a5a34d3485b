package cel

import (
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// zoneCost is what a call with a time zone costs: the zone is read from a file.
const zoneCost = 100

// estimator says what a call cost where the library is too generous. It knows
// the cost of a call by its overload, and the overload by the types that the
// checker saw: with claims, which are of any type, `x in claims.list` and
// `claims.a + claims.b` would cost one unit each, however long they are.
type estimator struct{ facts *facts }

// CallCost is the cost of a call that was made, or nil for what the library
// counts.
func (c estimator) CallCost(function, _ string, args []ref.Val, _ ref.Val) *uint64 {
	var cost uint64
	switch {
	case function == overloads.Matches && len(args) == 2:
		cost = c.facts.matchCost(text(args[0]), text(args[1]))
	case isZoned(function) && len(args) == 2:
		cost = zoneCost
	case len(args) == 2:
		cost = costOfTwo(function, args[0], args[1])
	case len(args) == 1:
		cost = costOfOne(function, args[0])
	}
	if cost == 0 {
		return nil
	}
	return &cost
}

// costOfTwo is the cost of an operator, or 0 for what the library counts.
func costOfTwo(function string, a, b ref.Val) uint64 {
	switch function {
	case operators.Add:
		return 1 + (length(a)+length(b)+size(a)+size(b))/10
	case operators.Equals, operators.NotEquals:
		return costOfEquality(a, b)
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return 1 + min(length(a), length(b))/10
	case operators.In:
		if _, isList := b.(traits.Lister); !isList {
			return 1
		}
		if isContainer(a) {
			return 1 + nodes(b)
		}
		return 1 + size(b)/10
	default:
		return 0
	}
}

// costOfEquality counts what is compared: texts and lists of different sizes
// are not.
func costOfEquality(a, b ref.Val) uint64 {
	switch {
	case !isContainer(a) || !isContainer(b):
		return 1 + min(length(a), length(b))/10
	case size(a) != size(b):
		return 1
	default:
		return 1 + nodes(a) + nodes(b)
	}
}

// costOfOne is the cost of reading a text as something else, or 0.
func costOfOne(function string, a ref.Val) uint64 {
	if function == overloads.Size || overloads.IsTypeConversionFunction(function) {
		return 1 + length(a)/10
	}
	return 0
}

// isZoned recognises the parts of a time, which may be asked for in a zone.
func isZoned(function string) bool {
	switch function {
	case overloads.TimeGetFullYear, overloads.TimeGetMonth, overloads.TimeGetDayOfYear, overloads.TimeGetDate,
		overloads.TimeGetDayOfMonth, overloads.TimeGetDayOfWeek, overloads.TimeGetHours, overloads.TimeGetMinutes,
		overloads.TimeGetSeconds, overloads.TimeGetMilliseconds:
		return true
	default:
		return false
	}
}

// text is the text of a value, or "".
func text(v ref.Val) string {
	s, _ := v.(types.String)
	return string(s)
}

// length is the length of a text in bytes, or 0.
func length(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v))
	case types.Bytes:
		return uint64(len(v))
	default:
		return 0
	}
}

// isContainer tells lists and maps from other values.
func isContainer(v ref.Val) bool {
	switch v.(type) {
	case traits.Lister, traits.Mapper:
		return true
	default:
		return false
	}
}

// size is the number of elements of a list or map, or 0.
func size(v ref.Val) uint64 {
	sizer, ok := v.(traits.Sizer)
	if !ok || !isContainer(v) {
		return 0
	}
	n, _ := sizer.Size().(types.Int)
	return uint64(max(n, 0))
}

// nodes is how much a list or map holds, at every depth. What is above the
// bounds of a claim is above CostLimit.
func nodes(v ref.Val) uint64 {
	w := weight{}
	if !w.add(v, 0) {
		return CostLimit + 1
	}
	return uint64(w.nodes + w.bytes/10)
}
