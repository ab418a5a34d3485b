package op

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strings"
	"unicode"

	"go.uber.org/zap"
)

//go:embed pages
var pageFiles embed.FS

//nolint:gochecknoglobals // a constant: the pages are part of the program
var pages = template.Must(template.New("").Funcs(template.FuncMap{"shown": shown, "whole": whole}).ParseFS(pageFiles, "pages/*.html"))

// frame is what every page has. Alert says what went wrong, Field is the id of
// the input that it is about.
type frame struct {
	Title, Style, Host string
	Alert, Field       string
}

// Sources of form-action for pages that lead nowhere else.
const (
	noForm  = "'none'"
	ownForm = "'self'"
)

// pageHeaders keeps a page from frames, caches, scripts and from telling where
// it stands (CONFORMANCE SEC-16). forms is where its forms may lead.
func pageHeaders(h http.Header, forms string) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action "+forms+
		"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
}

// frame begins a page.
func (p *Provider) frame(title string) frame {
	return frame{Title: title, Style: p.path("style.css"), Host: p.issuerURL.Host}
}

// link is where a page leads on.
type link struct{ Text, URL string }

// notePage is a page that says something, and perhaps leads on.
type notePage struct {
	frame
	Text string
	Next *link
}

// errorPage tells the user what cannot be told to the client.
func (p *Provider) errorPage(w http.ResponseWriter, status int, text string, next ...link) {
	page := notePage{frame: p.frame("That did not work")}
	page.Alert = text
	if len(next) > 0 {
		page.Next = &next[0]
	}
	p.write(w, status, "note.html", page, noForm)
}

// note tells the user how something ended.
func (p *Provider) note(w http.ResponseWriter, title, text string, next ...link) {
	page := notePage{frame: p.frame(title), Text: text}
	if len(next) > 0 {
		page.Next = &next[0]
	}
	p.write(w, http.StatusOK, "note.html", page, noForm)
}

// sorry is the page for what we could not do ourselves.
func (p *Provider) sorry(w http.ResponseWriter, what string, err error) {
	_ = p.unavailable(what, err)
	w.Header().Set("Retry-After", "5")
	p.errorPage(w, http.StatusServiceUnavailable, textFailed)
}

func (p *Provider) write(w http.ResponseWriter, status int, name string, data any, forms string) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		p.cfg.Log.Error("a page could not be made", zap.String("page", name), zap.Error(err))
		http.Error(w, textFailed, http.StatusInternalServerError)
		return
	}
	pageHeaders(w.Header(), forms)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// see sends the browser to a page of ours, or back to a client, by 303: a form is
// never sent on (RFC 9700 §4.12).
func see(w http.ResponseWriter, uri string) {
	pageHeaders(w.Header(), noForm)
	w.Header().Set("Location", uri)
	w.WriteHeader(http.StatusSeeOther)
}

// maxShown is how much of a name a page shows, in characters.
const maxShown = 100

// shown makes a name of others fit to be read on a page: what is invisible, or
// turns the text around it, is marked, and a very long name is cut. The template
// escapes it besides.
func shown(name string) string { return readable(name, maxShown) }

// whole is the same for hosts and addresses, whose end says whose they are: it must not
// be what is cut. They are bounded where they come from.
func whole(name string) string { return readable(name, len(name)) }

func readable(name string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range name {
		if n++; n > most {
			b.WriteRune('…')
			break
		}
		if r != ' ' && !unicode.IsGraphic(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r != ' ' && unicode.IsSpace(r) {
			r = unicode.ReplacementChar
		}
		b.WriteRune(r)
	}
	return b.String()
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
