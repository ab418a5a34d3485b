package sts

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// jrd is a JSON Resource Descriptor (RFC 7033 §4.4).
type jrd struct {
	Subject string `json:"subject"`
	Links   []link `json:"links"`
}

type link struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
}

// webfinger names our issuer for every address of our e-mail domains. Users are
// not looked up: the answer says nothing about who exists (CONFORMANCE OD-11).
func (s *Server) webfinger(w http.ResponseWriter, r *http.Request) {
	// RFC 7033 §5: WebFinger is public, so CORS stays on whatever is configured.
	if !allow(w, r, true, http.MethodGet, http.MethodHead) {
		return
	}
	answer, err := s.finger(r.URL.RawQuery)
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/jrd+json")
	oauth.WriteDocument(w, fingerMaxAge, answer)
}

// finger answers a query. RFC 7033 §4.2: a missing or malformed resource is
// 400, one that we know nothing about 404; §4.3: rel filters the links.
func (s *Server) finger(rawQuery string) (*jrd, error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil || len(query["resource"]) != 1 {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "resource must be there exactly once")
	}
	resource := query.Get("resource")
	address, err := parseAccount(resource)
	if err != nil {
		return nil, err
	}
	if !s.domains[address.Domain] {
		return nil, foreign()
	}
	answer := &jrd{Subject: resource, Links: []link{}}
	if rels, ok := query["rel"]; !ok || slices.Contains(rels, oauth.RelIssuer) {
		answer.Links = append(answer.Links, link{Rel: oauth.RelIssuer, Href: s.issuer})
	}
	return answer, nil
}

// parseAccount reads an acct URI (RFC 7565). Its user part may be
// percent-encoded. Other kinds of URI are well-formed but foreign.
func parseAccount(resource string) (oauth.Address, error) {
	scheme, rest, ok := strings.Cut(resource, ":")
	if !ok || scheme == "" || len(resource) > 1024 {
		return oauth.Address{}, malformedAccount()
	}
	if !strings.EqualFold(scheme, "acct") {
		return oauth.Address{}, foreign()
	}
	local, domain, _ := strings.Cut(rest, "@")
	local, err := url.PathUnescape(local)
	if err != nil || strings.Contains(local, "@") {
		return oauth.Address{}, malformedAccount()
	}
	address, err := oauth.ParseAddress(local + "@" + domain)
	if err != nil {
		return oauth.Address{}, malformedAccount()
	}
	return address, nil
}

func malformedAccount() error {
	return oauth.Errorf(oauth.CodeInvalidRequest, "resource must be a URI such as acct:user@example.com")
}

func foreign() error {
	return &oauth.Error{
		Code: oauth.CodeNotFound, Status: http.StatusNotFound,
		Description: "this server does not speak for that resource",
	}
}
