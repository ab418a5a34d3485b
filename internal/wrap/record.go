package wrap

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"mime"
	"net/http"
	"strings"
)

// maxDocument is the largest metadata document or key set in bytes (CONFORMANCE
// §1).
const maxDocument = 256 << 10

var (
	errLarge     = errors.New("the document is too large")
	errAborted   = errors.New("the answer of the provider broke off")
	errNoAnswer  = errors.New("there is no document; is there a reverse_proxy to the provider behind uma_sts?")
	errRecording = errors.New("the handler behind failed")
)

// recorder keeps a JSON document that is answered with 200. Every other answer
// goes to through as it comes; nil = nowhere.
type recorder struct {
	through http.ResponseWriter
	stop    context.CancelFunc // of the request: nobody reads on

	header http.Header
	status int
	kept   bool
	body   bytes.Buffer
	err    error
}

// newRecorder starts with the fields that handlers before us have set.
func newRecorder(through http.ResponseWriter, stop context.CancelFunc) *recorder {
	c := &recorder{through: through, stop: stop, header: make(http.Header)}
	if through != nil {
		c.header = through.Header().Clone()
	}
	return c
}

// Header implements http.ResponseWriter.
func (c *recorder) Header() http.Header { return c.header }

// WriteHeader implements http.ResponseWriter. Informational answers say nothing
// about a document.
func (c *recorder) WriteHeader(status int) {
	if c.status != 0 || status < http.StatusOK {
		return
	}
	c.status = status
	c.kept = status == http.StatusOK && isJSON(c.header)
	if !c.kept && c.through != nil {
		h := c.through.Header()
		clear(h)
		maps.Copy(h, c.header)
		c.through.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (c *recorder) Write(b []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	switch {
	case !c.kept && c.through != nil:
		return c.through.Write(b)
	case c.body.Len()+len(b) > maxDocument:
		c.err = errLarge
		c.stop()
		return 0, errLarge
	}
	return c.body.Write(b)
}

// Flush implements http.Flusher.
func (c *recorder) Flush() {
	if c.status != 0 && !c.kept && c.through != nil {
		_ = http.NewResponseController(c.through).Flush()
	}
}

// run lets next answer r. An answer that breaks off is an error if it is the
// document that we wait for, and stays what it is if it went through.
func (c *recorder) run(next Next, r *http.Request) (err error) {
	defer func() {
		p := recover()
		if p != nil && !c.kept && c.through != nil {
			panic(p)
		}
		if p != nil && c.err == nil {
			c.err = errRecording
			if err, _ := p.(error); errors.Is(err, http.ErrAbortHandler) {
				c.err = errAborted
			}
		}
	}()
	return next.ServeHTTP(c, r)
}

// isJSON tells whether a body can be read as JSON: the media type says so, and
// nothing hides it.
func isJSON(h http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
}

// document gives the kept body.
func (c *recorder) document() ([]byte, error) {
	switch {
	case c.err != nil:
		return nil, c.err
	case !c.kept:
		return nil, errNoAnswer
	case len(c.header.Values("Content-Encoding")) > 0:
		return nil, errors.New("the document is compressed though nobody asked for it")
	default:
		return c.body.Bytes(), nil
	}
}
