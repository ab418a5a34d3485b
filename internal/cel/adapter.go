package cel

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// adapter turns what a JSON decoder made into values of CEL, one at a time and
// only what an expression looks at: claims are never converted as a whole, nor
// for each condition again. A Go value that JSON cannot say becomes an error.
type adapter struct{ types.Adapter }

// withAdapter puts the adapter over the one that the environment has.
func withAdapter(env *cel.Env) (*cel.Env, error) {
	return cel.CustomTypeAdapter(adapter{env.CELTypeAdapter()})(env)
}

// NativeToValue converts one value; what it contains is converted when it is
// looked at.
func (a adapter) NativeToValue(value any) ref.Val {
	switch v := value.(type) {
	case json.Number:
		return number(v)
	case float64:
		return double(v)
	case map[string]any:
		return types.NewStringInterfaceMap(a, v)
	case []any:
		return types.NewDynamicList(a, v)
	default:
		return a.Adapter.NativeToValue(value)
	}
}

// maxNumber is the longest number that is read, in characters.
const maxNumber = 64

// number prefers whole numbers: a double would round large ones, and two
// different user numbers would become equal. A whole number of more than 64
// bits, a very long one, and what is no finite number at all, is null: it equals nothing else
// and has no order, so that comparing it is an error.
func number(n json.Number) ref.Val {
	text := n.String()
	if len(text) > maxNumber {
		return types.NullValue
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return types.Int(i)
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return types.Uint(u)
	}
	if !strings.ContainsAny(text, ".eE") {
		return types.NullValue
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return types.NullValue
	}
	return double(f)
}

// double is a finite number, or null.
func double(f float64) ref.Val {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return types.NullValue
	}
	return types.Double(f)
}
