package wrap

import (
	"net/http"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// provider gives what is known of the provider, or nil when r passes without.
// While nothing is known, only what may be an exchange, or may ask for the key
// set that we publish, waits for the provider's metadata. An exchange whose
// endpoint cannot be found out is refused: the provider might answer it by rules
// of its own.
func (f *Front) provider(w http.ResponseWriter, r *http.Request, next Next) (*provider, error) {
	if p := f.learn.look(r, next); p != nil {
		return p, nil
	}
	if f.harmless(w, r) {
		if f.merge == nil || !likeKeys(r) {
			return nil, nil
		}
		p, _ := f.learn.wait(r, next)
		return p, nil // the provider's own answer, or its own error
	}
	p, err := f.learn.wait(r, next)
	if err != nil {
		return nil, oauth.Unavailable(err)
	}
	return p, nil
}

// harmless tells whether a request is no exchange, wherever it goes. A long body,
// or one of unknown length, is not read for that: it may be half of a
// conversation.
func (f *Front) harmless(w http.ResponseWriter, r *http.Request) bool {
	if r.ContentLength < 0 || r.ContentLength > oauth.MaxForm {
		return false
	}
	body, err := peek(w, r)
	return err == nil && clean(r, body) == nil
}

// likeKeys tells whether a path may be that of a key set. It matters only until
// the metadata has been read once.
func likeKeys(r *http.Request) bool {
	p := strings.ToLower(r.URL.Path)
	return readsDocument(r) && (strings.Contains(p, "jwk") || strings.Contains(p, "key") || strings.Contains(p, "cert"))
}

// readsDocument: any other method, and a change of protocol, is the provider's.
func readsDocument(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("Upgrade") == ""
}
