package op

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"

	"go.uber.org/zap"
)

//go:embed pages
var pageFiles embed.FS

//nolint:gochecknoglobals // a constant: the pages are part of the program
var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// loginPage is what the login page shows.
type loginPage struct {
	session *session

	Style, Action, Host, Client, Target string
	Request, Username, Alert            string
	// Account is the user of the session; Other the link to log in as another.
	Account, Other string
}

// errorView is what the error page shows.
type errorView struct{ Style, Host, Text string }

// pageHeaders keeps a page from frames, caches, scripts and from telling where
// it stands (CONFORMANCE SEC-16).
func pageHeaders(h http.Header, formTarget string) {
	action := "'none'"
	if formTarget != "" {
		action = "'self' " + formTarget
	}
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action "+action+
		"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
}

// showLogin writes the login page for a request, bound to the browser.
func (p *Provider) showLogin(w http.ResponseWriter, r *http.Request, status int, req *authRequest, page loginPage) {
	browser := p.cookie(r, "browser")
	if browser == "" {
		browser = secret()
	}
	// Set again each time, so that it outlives the page.
	p.setCookie(w, "browser", browser, 2*requestLife)
	sealed, err := p.sealRequest(r.Context(), req, browser)
	if err != nil {
		_ = p.unavailable("login page", err)
		p.errorPage(w, http.StatusServiceUnavailable, textFailed)
		return
	}
	page.Style, page.Action, page.Host = p.path("style.css"), p.path("login"), p.issuerURL.Host
	page.Client, page.Target, page.Request = req.Client, target(req.Redirect), sealed
	if page.session != nil {
		page.Account, page.Other = page.session.user.Email, p.path("authorize")+"?"+req.again("login")
	}
	p.write(w, status, "login.html", page, formSource(req.Redirect))
}

// errorPage tells the user what cannot be told to the client.
func (p *Provider) errorPage(w http.ResponseWriter, status int, text string) {
	p.write(w, status, "error.html", errorView{Style: p.path("style.css"), Host: p.issuerURL.Host, Text: text}, "")
}

func (p *Provider) write(w http.ResponseWriter, status int, name string, data any, formTarget string) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		p.cfg.Log.Error("a page could not be made", zap.String("page", name), zap.Error(err))
		http.Error(w, textFailed, http.StatusInternalServerError)
		return
	}
	pageHeaders(w.Header(), formTarget)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// style serves the style sheet of the pages.
func (p *Provider) style(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	css, err := pageFiles.ReadFile("pages/style.css")
	if err != nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(css)
}
