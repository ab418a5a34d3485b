package cel

import (
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

// The names of a condition (DESIGN §8: additions only). Structs, not maps: a
// misspelt member is then a compile error.
type (
	emailVar struct {
		Address string `cel:"address"`
		Local   string `cel:"local"`
		Domain  string `cel:"domain"`
	}
	resourceVar struct {
		ID     string   `cel:"id"`
		Name   string   `cel:"name"`
		Type   string   `cel:"type"`
		Owner  string   `cel:"owner"`
		Server string   `cel:"server"`
		Scopes []string `cel:"scopes"`
		// Captures are empty for what is no instance of a pattern.
		Captures map[string]string `cel:"captures"`
	}
	requestVar struct {
		Method string `cel:"method"`
		IP     string `cel:"ip"`
	}
)

// nameClaims is the variable that a condition under `from anyone` must not
// look at.
const nameClaims = "claims"

// variable is a name that a condition may use.
type variable struct {
	name string
	of   *cel.Type
}

// language is what the conditions of one kind can speak of.
type language []variable

// common is what every condition can speak of: the person, the client and the
// time.
func common() language {
	return language{
		{"email", cel.ObjectType("cel.emailVar")},
		{"sub", cel.StringType},
		{nameClaims, cel.MapType(cel.StringType, cel.DynType)},
		{"client", cel.StringType},
		{"now", cel.TimestampType},
	}
}

// policies is the language of policies.
func policies() language {
	return append(common(), language{
		{"iss", cel.StringType},
		{"resource", cel.ObjectType("cel.resourceVar")},
		{"scopes", cel.ListType(cel.StringType)},
		{"request", cel.ObjectType("cel.requestVar")},
	}...)
}

func (l language) options() []cel.EnvOption {
	options := make([]cel.EnvOption, 0, len(l))
	for _, v := range l {
		options = append(options, cel.Variable(v.name, v.of))
	}
	return options
}

// newEnv makes the environment of a language: CEL's standard library and the
// variables, nothing else. Functions that make long values out of short ones
// (replace, format, join) are left out on purpose.
func newEnv(l language) (*cel.Env, error) {
	return cel.NewEnv(append(l.options(),
		ext.NativeTypes(ext.ParseStructTag("cel"),
			reflect.TypeFor[emailVar](), reflect.TypeFor[resourceVar](), reflect.TypeFor[requestVar]()),
		withAdapter,
		// JSON numbers are doubles: claims.level >= 3 must hold for 3.0.
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.EnableMacroCallTracking(), // Explain writes exists() as it was written
		cel.ParserExpressionSizeLimit(MaxExpression),
		cel.ParserRecursionLimit(maxDepth),
		cel.ASTValidators(
			cel.ValidateRegexLiterals(),
			cel.ValidateTimestampLiterals(),
			cel.ValidateDurationLiterals(),
			cel.ValidateComprehensionNestingLimit(maxNesting)),
	)...)
}

// variables gives the values that an expression sees.
func variables(in *policy.Input, withClaims bool) map[string]any {
	vars := map[string]any{
		"email":    emailVar(in.Email),
		"iss":      in.Issuer,
		"sub":      in.Subject,
		nameClaims: map[string]any{},
		"resource": resourceVar(in.Resource),
		"scopes":   in.Scopes,
		"client":   in.Client,
		"request":  requestVar(in.Request),
		"now":      in.Now,
	}
	if withClaims {
		vars[nameClaims] = in.Claims
	}
	return vars
}
