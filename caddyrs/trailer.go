package caddyrs

import (
	"io"
	"net/http"
)

// trailerBody cleans the trailer section where it arrives: at the end of the
// body, with fields that the head did not announce. Some backends take trailers
// for header fields (RFC 9110 §6.5.1 warns of it).
type trailerBody struct {
	io.ReadCloser
	clean func()
}

// Read implements io.Reader.
func (b *trailerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.clean()
	}
	return n, err
}

// cleanTrailer removes what the trailer section must not say, now and later.
func (h headerRules) cleanTrailer(r *http.Request, trusted bool) {
	if len(r.Trailer) == 0 {
		return
	}
	trailer := r.Trailer // that of the server, which fills it
	h.cleanFields(trailer, trusted)
	r.Body = &trailerBody{r.Body, func() { h.cleanFields(trailer, trusted) }}
}

func (h headerRules) cleanFields(fields http.Header, trusted bool) {
	for name := range fields {
		if h.removes(name, trusted) {
			delete(fields, name)
		}
	}
}
