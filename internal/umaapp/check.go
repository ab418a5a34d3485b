package umaapp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Values of options.
const (
	keysStorage = "storage"
	keysStore   = "store"
	auditPlain  = "plain"
	auditHash   = "hash"
	auditOff    = "off"
	auditFirst  = "first"
	auditAll    = "all"
)

// check holds the settings of a JSON configuration to what the Caddyfile parser
// would have let through.
func (a *App) check() error {
	errs := []error{checkKeys(a.Keys, a.KeyEncryptionKeys), checkAlgorithm(a.Algorithm), checkAuditSubject(a.AuditSubject), checkAuditRequests(a.AuditRequests)}
	if a.TrustPoolRaw != nil && a.TrustInternalCA != "" {
		errs = append(errs, errTwoTrusts)
	}
	if a.RefetchPause < 0 || a.CacheOptions.MaxAge < 0 || a.CacheOptions.Issuers < 0 {
		errs = append(errs, errors.New("uma: cache and refetch_pause cannot be negative"))
	}
	for from, to := range a.ConnectTo {
		errs = append(errs, checkConnectTo(from, to))
	}
	return errors.Join(errs...)
}

var errTwoTrusts = errors.New("uma: choose one of trust_pool (an exact set of CAs) and trust_internal_ca (the system's and Caddy's own)")

func checkKeys(s string, secrets []string) error {
	switch {
	case s != keysStorage && s != keysStore:
		return fmt.Errorf("uma: keys '%s' is unknown; write: keys storage, or keys store {env.NAME}", s)
	case s == keysStore && len(secrets) == 0:
		return errors.New("uma: keys store needs the secret that keys are sealed with: keys store {env.NAME}, made with: openssl rand -base64 32")
	case s == keysStorage && len(secrets) > 0:
		return errors.New("uma: keys storage takes no secret; keys are sealed in the store only: keys store {env.NAME}")
	}
	return nil
}

func checkAlgorithm(s string) error {
	known := []string{"ES256", "EdDSA", "PS256", "RS256"}
	if !slices.Contains(known, s) {
		return fmt.Errorf("uma: algorithm '%s' is not one of %s", s, strings.Join(known, ", "))
	}
	return nil
}

func checkAuditSubject(s string) error {
	known := []string{auditPlain, auditHash, auditOff}
	if !slices.Contains(known, s) {
		return fmt.Errorf("uma: audit_subject '%s' is not one of %s", s, strings.Join(known, ", "))
	}
	return nil
}

func checkAuditRequests(s string) error {
	if s != auditFirst && s != auditAll {
		return fmt.Errorf("uma: audit_requests '%s' is not one of %s, %s", s, auditFirst, auditAll)
	}
	return nil
}

// checkConnectTo wants a host name with its port and a literal address: a name
// on the right would let whoever answers for it choose the address.
func checkConnectTo(from, to string) error {
	host, port, ok := strings.Cut(from, ":")
	if !ok || host == "" || !isPort(port) || host != strings.ToLower(host) || strings.ContainsFunc(host, func(r rune) bool { return r > '~' || strings.ContainsRune("/@*[]", r) }) {
		return fmt.Errorf("uma: connect_to '%s' must be host:port in lower case, the host with other letters in its form xn--…", from)
	}
	if addr, err := netip.ParseAddrPort(to); err != nil || addr.Port() == 0 {
		return fmt.Errorf("uma: connect_to %s: '%s' must be an IP address with a port", from, to)
	}
	return nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}
