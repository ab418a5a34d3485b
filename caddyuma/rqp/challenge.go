package rqp

import (
	"io"
	"net/http"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// maxTicket is the longest permission ticket that is taken.
const maxTicket = 8 << 10

// challenge is what a UMA 401 says (UMA Grant §3.2.1). Ticket and server come
// from one challenge and stay together (CONFORMANCE SEC-17).
type challenge struct{ ticket, asURI string }

// umaChallenge looks for a UMA challenge in a response; ok is false if it is
// anything else.
func umaChallenge(resp *http.Response) (ch challenge, ok bool, err error) {
	if resp.StatusCode != http.StatusUnauthorized {
		return challenge{}, false, nil
	}
	var found []oauth.Challenge
	for _, line := range resp.Header.Values("WWW-Authenticate") {
		list, err := oauth.ParseChallenges([]string{line})
		if err != nil {
			continue // a line that cannot be read says nothing
		}
		for _, one := range list {
			if strings.EqualFold(one.Scheme, "UMA") {
				found = append(found, one)
			}
		}
	}
	if len(found) == 0 {
		return challenge{}, false, nil
	}
	ch, err = readChallenge(resp, found)
	return ch, true, err
}

func readChallenge(resp *http.Response, found []oauth.Challenge) (challenge, error) {
	who := resp.Request.URL
	if len(found) > 1 {
		return challenge{}, badAnswer(who, resp.StatusCode, "it has more than one UMA challenge")
	}
	ch := challenge{ticket: found[0].Get("ticket"), asURI: found[0].Get("as_uri")}
	if ch.ticket == "" || len(ch.ticket) > maxTicket {
		return challenge{}, badAnswer(who, resp.StatusCode, "its UMA challenge has no usable ticket")
	}
	if _, err := oauth.ParseIssuer(ch.asURI); err != nil {
		return challenge{}, badAnswer(who, resp.StatusCode, "the as_uri of its UMA challenge is no issuer")
	}
	return ch, nil
}

// drain lets the connection be used again.
func drain(resp *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
}
