package rs

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
)

//go:embed page/refusal.html
var pageText string

//go:embed page/refusal.css
var pageStyle string

//nolint:gochecknoglobals // a constant: the page is part of the program
var pageTemplate = template.Must(template.New("").Parse(pageText))

// title says it to people, who did not ask for a status.
func (f *Refusal) title() string {
	switch f.Status {
	case http.StatusUnauthorized:
		return "You have no access here yet"
	case http.StatusForbidden:
		return "This is not allowed"
	case http.StatusTooManyRequests:
		return "Too many requests"
	case http.StatusServiceUnavailable:
		return "This does not work at the moment"
	}
	return "This request is not understood"
}

// text is the detail, where that does not speak of header fields.
func (f *Refusal) text() string {
	if f.Status == http.StatusUnauthorized {
		return "Access needs an authorization of the owner. A browser alone cannot ask for one; the program that you use for this site does."
	}
	return f.Detail
}

// page is what people see. It tells the decision behind an RPT that was not good
// enough: who decides about access can look it up by that name.
func (f *Refusal) page() ([]byte, error) {
	var body bytes.Buffer
	err := pageTemplate.Execute(&body, map[string]any{
		"Title": f.title(), "Text": f.text(), "Status": f.Status, "DecisionID": f.DecisionID,
		"Style": template.CSS(pageStyle), //nolint:gosec // a constant
	})
	return body.Bytes(), err
}

// pageHeaders keeps the page from scripts, frames and foreign styles, and from
// telling where it stands. Its own style is allowed by its hash.
func pageHeaders(h http.Header) {
	hash := sha256.Sum256([]byte(pageStyle))
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+
		"'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Type", "text/html; charset=utf-8")
}
