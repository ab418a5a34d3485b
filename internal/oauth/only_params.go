package oauth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// OnlyParams refuses parameters of a query besides these, twice the same, and a query
// that cannot be read as a whole: net/url leaves out what it does not understand.
func OnlyParams(r *http.Request, known ...string) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return Errorf(CodeInvalidRequest, "the query is not well-formed").Because(err)
	}
	for name, values := range query {
		if !slices.Contains(known, name) {
			return Errorf(CodeInvalidRequest, "there is a parameter that is not known here; there are %s", strings.Join(slices.Sorted(slices.Values(known)), ", "))
		}
		if len(values) > 1 {
			return Errorf(CodeInvalidRequest, "a parameter stands there twice")
		}
	}
	return nil
}
