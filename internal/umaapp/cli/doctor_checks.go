package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// redirectCure is what most domains need: their web server seldom is the service.
const redirectCure = "let the web server of the domain redirect WebFinger to the service that knows its people, in Caddy: redir /.well-known/webfinger https://sts.EXAMPLE{uri}"

// slowAnswer is what works and leaves little.
const slowAnswer = 2 * time.Second

// pace warns of answers that nearly come too late.
func (d *diagnosis) pace(s *discovery.Step) {
	if s.Response != nil && s.Took > slowAnswer {
		d.add(s.Ask, levelWarning, "slow", "make it faster; a file or a redirect is best", "the answer took %.1f s; one hop may take 3 s, all of them 5 s", s.Took.Seconds())
	}
}

// jrd is an answer of WebFinger (RFC 7033 §4.4).
type jrd struct {
	Links []struct {
		Rel  any `json:"rel"`
		Href any `json:"href"`
	} `json:"links"`
}

// webFinger: fallback tells whether the look-up went well in the end.
func (d *diagnosis) webFinger(s *discovery.Step, well bool) {
	if d.unanswered(s) {
		return
	}
	resp := s.Response
	if len(s.Hops) > 1 {
		d.ok(s.Ask, "redirected to %s", hostIn(resp.FinalURL))
	}
	if resp.Status > 299 || resp.Status < 200 {
		d.noWebFinger(s, well)
		return
	}
	d.jrd(s, well)
	if h := s.Hops[len(s.Hops)-1].Header; h.Get("Access-Control-Allow-Origin") == "" {
		d.add(s.Ask, levelWarning, "cors", "answer with Access-Control-Allow-Origin: * (RFC 7033 §5)", "browsers cannot read the answer: there is no Access-Control-Allow-Origin")
	}
}

// noIssuer: WebFinger says no; whether that is a problem depends on the fallback.
func (d *diagnosis) noIssuer(well bool, code, cure, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if well {
		d.add(discovery.AskWebFinger, levelWarning, code, cure, "%s; so https://%s is taken for the issuer itself, which works, unless an authorization server has switched that off", text, d.address.Domain)
		return
	}
	d.add(discovery.AskWebFinger, levelProblem, code, cure, "%s; and https://%s is no issuer either", text, d.address.Domain)
}

func (d *diagnosis) noWebFinger(s *discovery.Step, well bool) {
	status := fmt.Sprintf("the answer is %d %s", s.Response.Status, http.StatusText(s.Response.Status))
	switch {
	case s.Err != nil && s.Response.Status >= 400:
		d.add(s.Ask, levelProblem, "webfinger_down", "look into the log of that server", "%s, which says nothing about the address, so nothing else is tried", status)
	case s.Err != nil:
		d.add(s.Ask, levelProblem, "webfinger_status", redirectCure, "%s, which is neither yes nor no", status)
	default:
		d.noIssuer(well, "webfinger_missing", redirectCure, "%s: there is no WebFinger for this address", status)
	}
}

// jrd reads what WebFinger says.
func (d *diagnosis) jrd(s *discovery.Step, well bool) {
	resp := s.Response
	if !slices.Contains([]string{"application/jrd+json", "application/json"}, resp.ContentType) {
		code, what := "webfinger_type", "of type '"+resp.ContentType+"'"
		if strings.Contains(resp.ContentType, "html") {
			code, what = "webfinger_page", "a web page, as of a site that answers every path"
		}
		d.noIssuer(well, code, "answer with Content-Type: application/jrd+json, or "+redirectCure, "the answer is %s", what)
		return
	}
	var doc jrd
	if err := oauth.DecodeObject(resp.Body, &doc); err != nil {
		if s.Err != nil {
			d.add(s.Ask, levelProblem, "webfinger_cut", "let the server send the whole document", "the answer is cut off in the middle of its JSON")
			return
		}
		d.noIssuer(well, "webfinger_json", "answer with a JSON object: {\"subject\": …, \"links\": [{\"rel\": \""+oauth.RelIssuer+"\", \"href\": ISSUER}]}", "the answer is no acceptable JSON object (%v)", err)
		return
	}
	href, found, others := doc.issuer()
	switch {
	case !found && len(others) > 0:
		d.noIssuer(well, "webfinger_no_issuer", "add a link with rel "+oauth.RelIssuer+" and the issuer as href", "the answer has no link to an issuer, only to: %s", strings.Join(others, ", "))
	case !found:
		d.noIssuer(well, "webfinger_no_issuer", "add a link with rel "+oauth.RelIssuer+" and the issuer as href", "the answer has no links")
	case s.Err != nil:
		_, err := oauth.ParseIssuer(href)
		d.add(s.Ask, levelProblem, "webfinger_href", "write the issuer exactly as its metadata do: https, no query, no fragment", "the href '%s' is no issuer: it %v", href, err)
	default:
		d.expected = href
		d.ok(s.Ask, "names the issuer %s", href)
	}
}

// issuer gives the href of the first link to an issuer, and the other relations.
func (j jrd) issuer() (href string, found bool, others []string) {
	for _, l := range j.Links {
		if l.Rel == oauth.RelIssuer {
			href, _ = l.Href.(string)
			return href, true, nil
		}
		if rel, ok := l.Rel.(string); ok && len(others) < 10 {
			others = append(others, rel)
		}
	}
	return "", false, others
}

// compare warns if WebFinger tells who has an account (RFC 7033 §8).
func (d *diagnosis) compare(s, other *discovery.Step, nobody oauth.Address) {
	if s.Response == nil || other.Response == nil {
		return
	}
	mine, theirs := s.Response, other.Response
	var how string
	switch {
	case mine.Status != theirs.Status:
		how = fmt.Sprintf("%d for this address and %d for one that is not there", mine.Status, theirs.Status)
	case mine.ContentType != theirs.ContentType || anonymous(string(mine.Body), d.address) != anonymous(string(theirs.Body), nobody):
		how = "another document for an address that is not there"
	default:
		d.ok(s.Ask, "the answer is the same for an address that is not there")
		return
	}
	d.add(s.Ask, levelWarning, "enumeration", "answer alike for every address of the domain", "the answers differ, %s: anybody can find out who has an account", how)
}

// anonymous replaces an address in an answer.
func anonymous(body string, a oauth.Address) string {
	whole := a.String()
	return strings.NewReplacer(whole, "ADDRESS", url.QueryEscape(whole), "ADDRESS", url.PathEscape(whole), "ADDRESS").Replace(body)
}

// metadata is what matters here of an issuer's document.
type metadata struct {
	Issuer        string   `json:"issuer"`
	JWKSURI       string   `json:"jwks_uri"`
	TokenEndpoint string   `json:"token_endpoint"`
	GrantTypes    []string `json:"grant_types_supported"`
}

func (d *diagnosis) configuration(s *discovery.Step) {
	if d.unanswered(s) {
		return
	}
	resp := s.Response
	var doc metadata
	err := oauth.DecodeObject(resp.Body, &doc)
	switch {
	case resp.Status >= 500:
		d.add(s.Ask, levelProblem, "metadata_down", "look into the log of that server", "the answer is %d %s", resp.Status, http.StatusText(resp.Status))
	case resp.Status != http.StatusOK:
		d.add(s.Ask, levelProblem, "metadata_missing", "the issuer must be written as its provider does, often with a path, such as https://id.example/realms/staff", "the issuer %s has no metadata: the answer is %d %s", d.expected, resp.Status, http.StatusText(resp.Status))
	case resp.ContentType != "application/json":
		d.add(s.Ask, levelProblem, "metadata_type", "answer with Content-Type: application/json", "the metadata are of type '%s'", resp.ContentType)
	case err != nil:
		d.add(s.Ask, levelProblem, "metadata_json", "serve a JSON object without repeated members", "the metadata are no acceptable JSON object (%v)", err)
	case doc.Issuer != d.expected:
		d.otherIssuer(s, doc.Issuer)
	case s.Err != nil && doc.JWKSURI == "":
		d.add(s.Ask, levelProblem, "metadata_jwks_uri", "add jwks_uri", "the metadata have no jwks_uri, so nobody can check a signature")
	case s.Err != nil:
		d.add(s.Ask, levelProblem, "metadata_unusable", "compare with OpenID Connect Discovery §3", "%s (jwks_uri: '%s')", discovery.Reason(s.Err), doc.JWKSURI)
	default:
		d.ok(s.Ask, "the metadata are those of %s; keys are at %s", doc.Issuer, doc.JWKSURI)
		d.service(s, doc)
	}
}

func (d *diagnosis) otherIssuer(s *discovery.Step, is string) {
	if strings.TrimSuffix(is, "/") == strings.TrimSuffix(d.expected, "/") {
		d.add(s.Ask, levelProblem, "issuer_slash", "write exactly '"+is+"' as href of the WebFinger link", "the issuers differ by the slash at the end: WebFinger or the domain says '%s', the metadata say '%s'", d.expected, is)
		return
	}
	d.add(s.Ask, levelProblem, "issuer_mismatch", "let WebFinger name '"+is+"', or give the provider '"+d.expected+"' as its issuer", "the metadata are of another issuer: WebFinger or the domain says '%s', the metadata say '%s'", d.expected, is)
}

// service: a provider alone makes no claims tokens.
func (d *diagnosis) service(s *discovery.Step, doc metadata) {
	if doc.TokenEndpoint == "" {
		d.add(s.Ask, levelProblem, "no_token_endpoint", "add token_endpoint", "the metadata have no token_endpoint, so nobody can get a claims token")
		return
	}
	if !slices.Contains(doc.GrantTypes, oauth.GrantTokenExchange) {
		d.add(s.Ask, levelProblem, "no_exchange", "put a security token service beside it or in front of it (uma_sts), and let WebFinger name that one", "this is an OpenID provider without a security token service: grant_types_supported has no token exchange, so its people cannot get claims tokens")
	}
}

func (d *diagnosis) keys(s *discovery.Step, keys jose.Set) {
	if d.unanswered(s) {
		return
	}
	resp := s.Response
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	err := oauth.DecodeObject(resp.Body, &set)
	switch {
	case resp.Status != http.StatusOK:
		d.add(s.Ask, levelProblem, "keys_missing", "serve the key set at jwks_uri", "the answer is %d %s", resp.Status, http.StatusText(resp.Status))
		return
	case err != nil:
		d.add(s.Ask, levelProblem, "keys_json", "serve a JWK Set (RFC 7517)", "the key set is no acceptable JSON object (%v)", err)
		return
	case slices.ContainsFunc(set.Keys, isSecretKey):
		d.add(s.Ask, levelProblem, "keys_secret", "replace these keys at once, whoever has read them can sign; then publish the public members alone", "the key set holds a private or symmetric key")
		return
	case s.Err != nil:
		d.add(s.Ask, levelProblem, "keys_unusable", "correct the key set", "the key set is refused as a whole: %v", discovery.Detail(s.Err))
		return
	}
	d.eachKey(s, set.Keys, keys)
}

// isSecretKey: such a set is refused as a whole, and the reason is looked at alone.
func isSecretKey(raw json.RawMessage) bool {
	var key struct {
		KTY string `json:"kty"`
		D   any    `json:"d"`
		K   any    `json:"k"`
		P   any    `json:"p"`
		Q   any    `json:"q"`
	}
	return oauth.DecodeObject(raw, &key) == nil && (key.KTY == "oct" || key.D != nil || key.K != nil || key.P != nil || key.Q != nil)
}

// eachKey says which keys are of no use, and why.
func (d *diagnosis) eachKey(s *discovery.Step, list []json.RawMessage, keys jose.Set) {
	if n := keys.Named(); n > 0 {
		d.ok(s.Ask, "%d of %d keys can verify claims tokens", n, len(list))
	} else {
		d.add(s.Ask, levelProblem, "keys_none", "publish a signing key with a kid: EC P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits", "none of the %d keys can verify a claims token", len(list))
	}
	for i, raw := range list {
		d.key(s, i, raw)
	}
}

func (d *diagnosis) key(s *discovery.Step, i int, raw json.RawMessage) {
	var key struct {
		KTY string `json:"kty"`
		KID string `json:"kid"`
		Use string `json:"use"`
		Alg string `json:"alg"`
		Crv string `json:"crv"`
		N   string `json:"n"`
	}
	if err := oauth.DecodeObject(raw, &key); err != nil {
		return // the set was refused for it
	}
	single, err := jose.ParseJWKS([]byte(`{"keys":[` + string(raw) + `]}`))
	switch {
	case err != nil, key.Use != "" && key.Use != "sig": // an encryption key is no mistake
	case len(single) == 0 && key.KTY == "RSA" && len(key.N) < 2048*4/3/8:
		d.add(s.Ask, levelWarning, "key_weak", "replace it by a key of 2048 bits at least", "key %d (kid '%s') is an RSA key of about %d bits, which is too weak", i+1, key.KID, len(key.N)*6)
	case len(single) == 0:
		d.add(s.Ask, levelWarning, "key_unusable", "sign claims tokens with ES256, ES384, EdDSA, RS256 or PS256", "key %d (kid '%s', kty %s %s %s) is not used", i+1, key.KID, key.KTY, key.Crv, key.Alg)
	case single.Named() == 0:
		d.add(s.Ask, levelWarning, "key_without_kid", "give each key a kid, and name it in the tokens", "key %d has no kid, so no token can name it", i+1)
	}
}

// hostIn is the host of a URL, for a message.
func hostIn(raw string) string {
	if u, err := url.Parse(raw); err == nil {
		return u.Host
	}
	return raw
}
