package sts

import (
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// maxRequired is the longest required_claims in bytes (CONFORMANCE A43).
const maxRequired = 4 << 10

// required is the array required_claims of a need_info answer, as a client hands
// it on: what the authorization server would like to know (CONFORMANCE A43).
type required []*requiredClaim

// requiredClaim is a member of it (UMA Grant §3.3.6). Only the name says which
// claim is meant; claim_type and friendly_name are for people and for claims that
// have no name, of which we know none.
type requiredClaim struct {
	Name         string   `json:"name"`
	ClaimType    string   `json:"claim_type"`
	FriendlyName string   `json:"friendly_name"`
	Formats      []string `json:"claim_token_format"`
	Issuers      []string `json:"issuer"`
}

// parseRequired reads the form parameter; "" = not sent. It is read strictly:
// whoever asks for less must not get all because of a slip.
func parseRequired(text string) (*required, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // nothing was sent, nothing is wrong
	}
	var all required
	bad := oauth.Errorf(oauth.CodeInvalidRequest, "required_claims must be the JSON array of that name of a need_info answer, at most 4 KiB")
	if len(text) > maxRequired || !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "[") {
		return nil, bad
	}
	if err := oauth.DecodeJSON([]byte(text), &all); err != nil {
		return nil, bad.Because(err)
	}
	if slices.Contains(all, nil) {
		return nil, bad
	}
	return &all, nil
}

// filter cuts a release list down to what is asked for. It never adds anything:
// an authorization server cannot ask for more than the administrator releases.
func (r *required) filter(release []string, issuer string) []string {
	if r == nil {
		return release
	}
	return slices.DeleteFunc(slices.Clone(release), func(name string) bool {
		return !slices.ContainsFunc(*r, func(c *requiredClaim) bool { return c.Name == name && c.admits(issuer) })
	})
}

// admits tells whether what we make would do at all: a claim that is wanted of
// another issuer, or in another format, is not wanted of us.
func (c *requiredClaim) admits(issuer string) bool {
	format := len(c.Formats) == 0 || slices.Contains(c.Formats, oauth.ClaimTokenFormatJWT)
	return format && (len(c.Issuers) == 0 || slices.Contains(c.Issuers, issuer))
}
