package op

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

const (
	textDevice      = "A device wants to use your account."
	textCodeShape   = "A code has eight letters, such as BCDF-GHJK."
	textCodeUnknown = "This code is not known. Check the letters. A code is valid for ten minutes."
	textDeviceGone  = "The device does not wait any longer, or somebody has decided already."
)

// devicePage is where the user types the code; confirmPage is where he decides.
type devicePage struct {
	frame
	as
	Action, Request, Code string
}

type confirmPage struct {
	frame
	as
	Action, Request, Code, Client string
	Claims                        []string
}

// device is the verification URI (RFC 8628 §3.3). Only somebody who is logged in
// may try codes.
func (p *Provider) device(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	if r.Method == http.MethodGet {
		p.askCode(w, r)
		return
	}
	s, f, form, ok := p.posted(w, r, "device")
	switch {
	case !ok:
	case f.Slot == "":
		p.takeCode(w, r, s, form.Get("user_code"))
	default:
		p.decideDevice(w, r, s, f, form.Get("decision"))
	}
}

// askCode shows the page for the code. One that stands in the link is filled in;
// it must be sent by hand all the same (RFC 8628 §3.3.1, §5.4).
func (p *Provider) askCode(w http.ResponseWriter, r *http.Request) {
	query := url.Values{}
	code, given := parseUserCode(r.URL.Query().Get("user_code"))
	if given {
		code = showCode(code)
		query.Set("user_code", code)
	}
	if s := p.visit(w, r, "device", textDevice, query); s != nil {
		p.showDevice(w, r, s, code, "")
	}
}

func (p *Provider) showDevice(w http.ResponseWriter, r *http.Request, s *session, code, alert string) {
	sealed, err := p.sealForm(r.Context(), "device", s, pageForm{})
	if err != nil {
		p.sorry(w, "page", err)
		return
	}
	query, status := url.Values{}, http.StatusOK
	page := devicePage{frame: p.frame("Connect a device"), Action: p.path("device"), Request: sealed, Code: code}
	page.as = p.as(s, "device", query)
	if alert != "" {
		page.Alert, page.Field, status = alert, "user_code", http.StatusBadRequest
	}
	p.write(w, status, "device.html", page, ownForm)
}

// takeCode looks for the device that shows the code.
func (p *Provider) takeCode(w http.ResponseWriter, r *http.Request, s *session, typed string) {
	code, ok := parseUserCode(typed)
	if !ok {
		p.showDevice(w, r, s, cutText(typed), textCodeShape)
		return
	}
	if wait, ok := p.mayGuess(r, s); !ok {
		e := oauth.TooMany(wait)
		seconds := e.Header.Get("Retry-After")
		w.Header().Set("Retry-After", seconds)
		p.errorPage(w, e.Status, tooMany(seconds))
		return
	}
	record, _, err := p.findDevice(r.Context(), slot(code), func(d *deviceRecord) bool { return equalHash(d.Code, hashID(code)) })
	_, live := p.client(record.Client)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && (record.State != devicePending || !live):
		p.showDevice(w, r, s, showCode(code), textCodeUnknown)
	case err != nil:
		p.sorry(w, "device code", err)
	default:
		p.confirmDevice(w, r, s, code, record)
	}
}

// mayGuess counts a code that is tried, for the source and for the user.
func (p *Provider) mayGuess(r *http.Request, s *session) (wait time.Duration, ok bool) {
	if ok, wait := p.devices.guesses.Allow("ip " + p.source(r)); !ok {
		return wait, false
	}
	ok, wait = p.devices.guesses.Allow("user " + s.user.name)
	return wait, ok
}

// confirmDevice shows what the user would allow. Somebody may have sent him the
// code of a device that is not his (RFC 8628 §5.4).
func (p *Provider) confirmDevice(w http.ResponseWriter, r *http.Request, s *session, code string, record *deviceRecord) {
	sealed, err := p.sealForm(r.Context(), "device", s, pageForm{Client: record.Client, Slot: slot(code), Code: hashID(code)})
	if err != nil {
		p.sorry(w, "page", err)
		return
	}
	p.write(w, http.StatusOK, "confirm.html", confirmPage{
		frame: p.frame("Is this your device?"), as: p.as(s, "device", nil), Action: p.path("device"), Request: sealed,
		Code: showCode(code), Client: record.Client, Claims: scopeWords(record.Scope),
	}, ownForm)
}

// decideDevice records the decision, once.
func (p *Provider) decideDevice(w http.ResponseWriter, r *http.Request, s *session, f pageForm, decision string) {
	state, outcome := deviceDenied, event.Denied
	if decision == "allow" {
		state, outcome = deviceApproved, event.Granted
	}
	err := p.saveDecision(r, s, f, state)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrConflict):
		p.observeLogin(r, "device", f.Client, s.user, event.Refused, "the device does not wait")
		p.errorPage(w, http.StatusBadRequest, textDeviceGone, link{"Enter another code", p.path("device")})
	case err != nil:
		p.observeLogin(r, "device", f.Client, s.user, event.Failed, "storage")
		p.sorry(w, "device code", err)
	case state == deviceApproved:
		p.observeLogin(r, "device", f.Client, s.user, outcome, "")
		p.note(w, "Your device is connected", "Go back to your device. You can close this page.")
	default:
		p.observeLogin(r, "device", f.Client, s.user, outcome, "the user has refused")
		p.note(w, "The device was not connected", "It has no access to your account. You can close this page.")
	}
}

func (p *Provider) saveDecision(r *http.Request, s *session, f pageForm, state string) error {
	record, doc, err := p.findDevice(r.Context(), f.Slot, func(d *deviceRecord) bool {
		return d.State == devicePending && equalHash(d.Code, f.Code)
	})
	if err != nil {
		return err
	}
	record.State, record.grant = state, s.user.grants(record.Client, record.Scope, s.record.AuthTime)
	next, err := document(doc.Key, record.User, doc.Expires, record)
	if err != nil {
		return err
	}
	next.Rev = doc.Rev
	return p.commit(r.Context(), store.Swap(next))
}

// scopeWords says what the application learns by a scope.
func scopeWords(scope string) []string {
	all := []string{"who you are (an identifier)"}
	for s := range strings.FieldsSeq(scope) {
		switch s {
		case "email":
			all = append(all, claimWords("email"))
		case "profile":
			all = append(all, "your profile, such as your name")
		case "groups":
			all = append(all, "the groups that you are in")
		case "offline_access":
			all = append(all, "all this again at any time, until you end it or change your password")
		}
	}
	return all
}

// cutText bounds what is shown again of a text that somebody typed.
func cutText(s string) string {
	if len(s) > 4*codeLength {
		return ""
	}
	return s
}
