package caddyrs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// checkSettings refuses what a Caddyfile cannot say or has been told already.
func (h *Handler) checkSettings() error {
	switch {
	case checkIssuer(h.Issuer) != nil:
		return checkIssuer(h.Issuer)
	case h.ClientID == "":
		return missingClientID(h.Issuer)
	case h.Errors != "" && h.Errors != "pass":
		return errors.New("errors must be pass")
	case h.Metadata != "" && h.Metadata != metadataOff && h.Metadata != metadataOnly && h.Metadata != metadataKeys:
		return errors.New("metadata must be off")
	case strings.ContainsAny(h.Realm, "\"\\{}") || !rs.Safe(h.Realm):
		return errors.New("realm holds a character that a header field cannot")
	case h.RateLimit != nil && h.RateLimit.Tickets >= 0 && (h.RateLimit.Tickets == 0 || h.RateLimit.Window <= 0):
		return errors.New("rate_limit needs a positive number and a window; write: rate_limit 60 1m, or rate_limit off")
	case h.Check != "" && h.Check != checkLocal && h.Check != checkIntrospection:
		return errors.New("check must be local or introspection")
	case h.Revocation != nil && h.Revocation.MaxAge < 0:
		return errors.New("revocation max_age must be positive")
	case h.Cache < 0 || h.MaxRPTLifetime < 0:
		return errors.New("cache and max_rpt_lifetime must be positive")
	}
	if err := h.checkInstances(); err != nil {
		return err
	}
	return errors.Join(checkHeaderUp(h.HeaderUp), checkAssertion(h.Assertion, h.HeaderUp), checkCORS(h.CORS))
}

func checkIssuer(issuer string) error {
	if _, err := oauth.ParseIssuer(issuer); err != nil {
		return fmt.Errorf("issuer '%s' must be an https URL without query or fragment", issuer)
	}
	return nil
}

func missingClientID(issuer string) error {
	return fmt.Errorf("client_id is required: the name under which %s knows this resource server (its resource_server line)", issuer)
}
