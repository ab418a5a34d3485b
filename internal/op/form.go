package op

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// pageForm is what a form of one of our own pages is about. It stands in the
// page in a sealed box.
type pageForm struct {
	Client   string   `json:"client,omitempty"`
	Target   string   `json:"target,omitempty"`
	Claims   []string `json:"claims,omitempty"`
	Slot     string   `json:"slot,omitempty"` // of a device
	Code     string   `json:"code,omitempty"` // the hash of its user code
	Redirect string   `json:"redirect,omitempty"`
	State    string   `json:"state,omitempty"`
	Expires  int64    `json:"exp"`
}

// formData binds the box of a form to its page, to us and to one session: it is
// the CSRF token of the page, and it is worth nothing once somebody else has
// logged in.
func (p *Provider) formData(page string, s *session) []string {
	return []string{"op page", page, p.cfg.Issuer, s.id}
}

// sealForm makes the text that the page carries.
func (p *Provider) sealForm(ctx context.Context, page string, s *session, f pageForm) (string, error) {
	f.Expires = p.cfg.Now().Add(requestLife).Unix()
	return p.sealJSON(ctx, f, p.formData(page, s)...)
}

// posted reads the form of one of our own pages; see opened.
func (p *Provider) posted(w http.ResponseWriter, r *http.Request, page string) (*session, pageForm, oauth.Form, bool) {
	form, err := oauth.ParseForm(r, oauth.MaxForm)
	if err != nil {
		p.errorPage(w, http.StatusBadRequest, textStale, link{"Start again", p.path(page)})
		return nil, pageForm{}, nil, false
	}
	s, f, ok := p.opened(w, r, form, page)
	return s, f, form, ok
}

// opened gives the session that a form of one of our own pages was made in, and
// what it is about. If there is none, or the form is not of this page and
// session, or too old, the answer is a page that leads back.
func (p *Provider) opened(w http.ResponseWriter, r *http.Request, form oauth.Form, page string) (*session, pageForm, bool) {
	again := link{"Start again", p.path(page)}
	var f pageForm
	s, err := p.session(r)
	if err != nil {
		p.sorry(w, "session", err)
		return nil, f, false
	}
	if s == nil {
		p.errorPage(w, http.StatusForbidden, textLoggedOut, again)
		return nil, f, false
	}
	err = p.openJSON(r.Context(), form.Get("request"), &f, p.formData(page, s)...)
	if err != nil || foreign(r) || p.cfg.Now().Unix() >= f.Expires {
		p.errorPage(w, http.StatusBadRequest, textStale, again)
		return nil, f, false
	}
	return s, f, true
}

// foreign tells whether the browser says that another site has sent the form.
// Origin says nothing here, because Referrer-Policy makes it null.
func foreign(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "same-origin"
}

func (p *Provider) sealJSON(ctx context.Context, v any, data ...string) (string, error) {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return p.box.Seal(ctx, plain.Bytes(), data...)
}

func (p *Provider) openJSON(ctx context.Context, text string, v any, data ...string) error {
	plain, err := p.box.Open(ctx, text, data...)
	if err != nil {
		return err
	}
	return oauth.DecodeObject(plain, v)
}
