package uma

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// resourceRecord is a registered resource.
type resourceRecord struct {
	version
	ResourceServer string   `json:"resource_server"`
	Owner          string   `json:"owner"`
	Scopes         []string `json:"scopes"`
	// Texts are name, type, description, icon_uri and their language-tagged
	// variants, returned as they were stored (UMA Fed §3.1).
	Texts map[string]string `json:"texts,omitempty"`
	// Captures make a pattern of it, with at most MaxInstances instances (0 = the
	// default).
	Captures     []string `json:"captures,omitzero"`
	MaxInstances int      `json:"max_instances,omitempty"`

	// of says which instance of the pattern this is; nil = the registration.
	of *instanceKey
}

// Bounds of a description. They are far above what people write and far below
// what would hurt.
const (
	maxDescription = 64 << 10
	maxScopes      = 256
	maxText        = 2048
)

// resourceIDLength: an _id in base64url.
const resourceIDLength = 22

// parseResource reads a resource description (UMA Fed §3.1). Unknown members
// are ignored; scope URIs are text and are never fetched (§3.1.1).
func parseResource(body []byte) (resourceRecord, string, error) {
	rec := resourceRecord{version: version{currentVersion}, Texts: map[string]string{}}
	members := map[string]json.RawMessage{}
	if err := oauth.DecodeObject(body, &members); err != nil {
		return rec, "", oauth.Errorf(oauth.CodeInvalidRequest, "the body must be one JSON object without repeated members").Because(err)
	}
	scopes, err := parseScopes(members["resource_scopes"])
	if err != nil {
		return rec, "", err
	}
	rec.Scopes = scopes
	if err := rec.parsePattern(members); err != nil {
		return rec, "", err
	}
	owner := ""
	for name, raw := range members {
		base, _, tagged := strings.Cut(name, "#")
		if base != "name" && base != "description" && base != "icon_uri" && (base != "type" || tagged) && name != "owner" {
			continue
		}
		text, err := parseText(base, raw)
		if err != nil {
			return rec, "", err
		}
		if name == "owner" {
			owner = text
			continue
		}
		rec.Texts[name] = text
	}
	return rec, owner, nil
}

func parseText(name string, raw json.RawMessage) (string, error) {
	var text string
	if err := oauth.DecodeJSON(raw, &text); err != nil || string(raw) == "null" || len(text) > maxText {
		return "", oauth.Errorf(oauth.CodeInvalidRequest, "%s must be a string of at most %d bytes", name, maxText)
	}
	if name == "icon_uri" {
		if u, err := url.Parse(text); err != nil || !u.IsAbs() {
			return "", oauth.Errorf(oauth.CodeInvalidRequest, "icon_uri must be an absolute URI")
		}
	}
	return text, nil
}

// parseScopes reads resource_scopes: required, an array of strings.
func parseScopes(raw json.RawMessage) ([]string, error) {
	bad := oauth.Errorf(oauth.CodeInvalidRequest, "resource_scopes is required: an array of at most %d different strings", maxScopes)
	var members []*string
	if raw == nil || oauth.DecodeJSON(raw, &members) != nil || string(raw) == "null" || len(members) > maxScopes {
		return nil, bad
	}
	scopes := make([]string, 0, len(members))
	for _, m := range members {
		if m == nil || !isScope(*m) || slices.Contains(scopes, *m) {
			return nil, bad
		}
		scopes = append(scopes, *m)
	}
	return scopes, nil
}

// isScope accepts a scope-token (RFC 6749 §3.3): it must fit into the
// space-delimited parameter scope.
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= maxText
}

// describe is the description as read from the server (UMA Fed §3.2.2).
func (rec resourceRecord) describe(id string) map[string]any {
	out := map[string]any{"_id": id, "resource_scopes": rec.Scopes}
	for name, text := range rec.Texts {
		out[name] = text
	}
	rec.describePattern(out)
	return out
}
