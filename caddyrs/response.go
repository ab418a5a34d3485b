package caddyrs

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// response removes UMA challenges of the backend: a client would take them for
// ours and carry somebody's claims to a server of the backend's choice
// (CONFORMANCE CA-48). All ways in which a header leaves are covered, 1xx
// answers, flushes and hijacked connections included.
type response struct {
	*caddyhttp.ResponseWriterWrapper
	origin string
	final  bool // the header of the final answer has left
}

func wrap(w http.ResponseWriter, origin string) *response {
	return &response{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, origin: origin}
}

const authenticate = "Www-Authenticate"

// cleanHeader is done before each header leaves.
func (w *response) cleanHeader() {
	h := w.Header()
	for name, lines := range h {
		if strings.EqualFold(strings.TrimPrefix(name, http.TrailerPrefix), authenticate) {
			keepOthers(h, name, lines)
		}
	}
}

func keepOthers(h http.Header, name string, lines []string) {
	var kept []string
	for _, line := range lines {
		if !rs.IsUMA(line) {
			kept = append(kept, line)
			continue
		}
		challenges, _ := oauth.ParseChallenges([]string{line})
		for _, c := range challenges {
			if !strings.EqualFold(c.Scheme, "UMA") {
				kept = append(kept, c.String())
			}
		}
	}
	if len(kept) == 0 {
		delete(h, name)
		return
	}
	h[name] = kept
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if !w.final {
		w.cleanHeader()
		if status >= 200 || status == http.StatusSwitchingProtocols {
			w.finish()
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) finish() {
	w.final = true
	exposeTo(w.Header(), w.origin)
}

// before is done where a header may leave without WriteHeader.
func (w *response) before() {
	if !w.final {
		w.cleanHeader()
		w.finish()
	}
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	w.before()
	return w.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	w.before()
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError implements what http.ResponseController looks for.
func (w *response) FlushError() error {
	w.before()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// Hijack implements http.Hijacker.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.before()
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Interface guards.
var (
	_ http.ResponseWriter = (*response)(nil)
	_ http.Flusher        = (*response)(nil)
	_ http.Hijacker       = (*response)(nil)
	_ io.ReaderFrom       = (*response)(nil)
)
