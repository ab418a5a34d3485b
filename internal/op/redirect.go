package op

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// loopbacks are the hosts of RFC 8252 §7.3. localhost is not among them: it may
// be resolved to something else (§8.3).
var loopbacks = []string{"http://127.0.0.1", "http://[::1]"}

// checkRedirect refuses redirect URIs that could carry a code elsewhere than to
// the client (RFC 9700 §4.1, §2.6): only https, http on loopback and private
// schemes in reverse domain form (RFC 8252 §7.1) remain.
func checkRedirect(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Opaque != "" || u.User != nil || u.Fragment != "" || strings.Contains(s, "#") || strings.ContainsAny(s, "\\ \t\r\n*"):
		return errors.New("is not an absolute URI without fragment and user information")
	case u.Scheme == "https" && u.Hostname() != "":
		return nil
	case u.Scheme == "http" && (u.Hostname() == "127.0.0.1" || u.Hostname() == "::1" || u.Hostname() == "localhost"):
		return nil
	case strings.Contains(u.Scheme, "."):
		return nil
	}
	return errors.New("must be https, http on loopback, or have a private scheme such as com.example.app:/")
}

// accepts tells whether the client registered a redirect URI. It is compared
// byte for byte (RFC 9700 §2.1).
func (c *Client) accepts(uri string) bool {
	for _, registered := range c.RedirectURIs {
		if uri == registered || onAnyPort(registered, uri) {
			return true
		}
	}
	return false
}

// assured tells whether a code that goes to uri is of use to this client alone: a
// public client at loopback or with a private scheme could be any program on the
// device (RFC 8252 §8.6).
func (c *Client) assured(uri string) bool {
	return !c.Public || strings.HasPrefix(uri, "https://")
}

// onAnyPort: a native application cannot know its port beforehand, so for http
// on a loopback address that is registered without port every port matches
// (RFC 8252 §7.3).
func onAnyPort(registered, uri string) bool {
	for _, origin := range loopbacks {
		rest, ok := strings.CutPrefix(registered, origin)
		if !ok || strings.HasPrefix(rest, ":") {
			continue
		}
		asked, ok := strings.CutPrefix(uri, origin+":")
		if !ok {
			continue
		}
		if port, ok := strings.CutSuffix(asked, rest); ok && isPort(port) {
			return true
		}
	}
	return false
}

// isPort accepts one spelling of each port.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}

// formSource is the redirect URI as a source of form-action, because Chromium
// applies that directive to the redirect after the form, too. CSP has no
// spelling for an IPv6 address, nor for the host of a private scheme: there the
// scheme has to do.
func formSource(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	if u.Scheme != "https" && u.Scheme != "http" || strings.Contains(u.Host, "[") || strings.ContainsAny(u.Host, ";, '\"") {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}

// target says to people where a redirect URI leads.
func target(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	switch {
	case u.Scheme == "http":
		return "this device (" + u.Host + ")"
	case u.Scheme != "https":
		return "an application on this device (" + u.Scheme + ")"
	}
	return u.Host
}

// withParams adds parameters to a redirect URI and keeps its own query
// (RFC 6749 §3.1.2).
func withParams(uri string, params url.Values) string {
	sep := "?"
	if strings.Contains(uri, "?") {
		sep = "&"
	}
	return uri + sep + params.Encode()
}
