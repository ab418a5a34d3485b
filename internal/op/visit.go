package op

import (
	"maps"
	"net/http"
	"net/url"
)

// visit gives the session that one of our own pages is opened with. Without one,
// or if the user wants to be somebody else (prompt=login), the answer is the login
// page, which leads back to the page with these parameters.
func (p *Provider) visit(w http.ResponseWriter, r *http.Request, page, purpose string, query url.Values) *session {
	s, err := p.session(r)
	if err != nil {
		p.sorry(w, "session", err)
		return nil
	}
	if s != nil && r.URL.Query().Get("prompt") != "login" {
		return s
	}
	back := p.path(page)
	if len(query) > 0 {
		back += "?" + query.Encode()
	}
	p.showLogin(w, r, http.StatusOK, &authRequest{
		ID: secret(), Return: back, Purpose: purpose, MaxAge: -1, Expires: p.cfg.Now().Add(requestLife).Unix(),
	}, loginPage{})
	return nil
}

// as is the line on a page that says who is logged in.
type as struct{ Account, Other string }

// as makes the line; other is the same page for another user.
func (p *Provider) as(s *session, page string, query url.Values) as {
	other := url.Values{"prompt": {"login"}}
	maps.Copy(other, query)
	return as{Account: s.user.Email, Other: p.path(page) + "?" + other.Encode()}
}
