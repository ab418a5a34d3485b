package fakeop

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// JSON answers 200 with a document.
func JSON(contentType string, v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		body, err := json.Marshal(v)
		if err != nil {
			http.Error(w, "cannot marshal", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body)
	}
}

// Raw answers with exactly this.
func Raw(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Status answers with a status and a short text.
func Status(code int) http.HandlerFunc {
	if code == http.StatusNoContent || code == http.StatusNotModified {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	return Raw(code, "text/plain", http.StatusText(code))
}

// HTML is the catch-all page of a site that knows no 404.
func HTML() http.HandlerFunc {
	return Raw(http.StatusOK, "text/html; charset=utf-8", "<!doctype html><title>Welcome</title>")
}

// Truncated promises more bytes than it sends.
func Truncated() http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"issuer":"https://`)
	}
}

// Endless sends JSON white space for as long as anybody listens.
func Endless() http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		chunk := []byte(strings.Repeat(" ", 32<<10))
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
}

// EndlessHeader sends a header of n bytes.
func EndlessHeader(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Padding", strings.Repeat("a", n))
		JSON("application/json", map[string]any{})(w, r)
	}
}

// SlowDrip sends one byte every few milliseconds and never ends.
func SlowDrip() http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		left := gone(r)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := w.Write([]byte(" ")); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-left:
				return
			case <-tick.C:
			}
		}
	}
}

// Hang never answers.
func Hang() http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) { <-gone(r) }
}

// gone is closed when the client has left. The server notices that only once
// the body is read.
func gone(r *http.Request) <-chan struct{} {
	_, _ = io.Copy(io.Discard, r.Body)
	return r.Context().Done()
}

// Wait answers with next when release is closed.
func Wait(release <-chan struct{}, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
			next(w, r)
		case <-gone(r):
		}
	}
}

// GzipBomb sends a few kilobytes that unfold to n bytes, asked for or not.
func GzipBomb(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.CopyN(z, spaces{}, int64(n))
		_ = z.Close()
	}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// RedirectTo answers 302 to a URL, as it stands.
func RedirectTo(url string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", url)
		w.WriteHeader(http.StatusFound)
	}
}

// Reset drops the connection instead of answering.
func Reset() http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_ = conn.Close()
	}
}

// Unframed sends a body whose end only the end of the connection marks, so that
// nobody can tell a whole answer from a cut one.
func Unframed(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer func(c net.Conn) { _ = c.Close() }(conn)
		_, _ = fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n%s", body)
		_ = buf.Flush()
	}
}
