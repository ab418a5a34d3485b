package oauth

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// BodyTime is how long the body of a request to one of our endpoints may take.
// The largest that is read has 64 KiB; who needs longer holds a connection, its
// memory and its goroutine, and means to (CONFORMANCE SEC-18).
const BodyTime = 15 * time.Second

// BoundBody gives the body of r so much time: reading it fails with
// os.ErrDeadlineExceeded after that. Nothing happens to a body that came in time,
// nor to a shorter time that the server is set to. The caller calls done before
// it returns from its handler. A body that nobody wanted to the end is not waited
// for then: net/http would go on reading it, for as long as it takes.
func BoundBody(w http.ResponseWriter, r *http.Request, d time.Duration) (done func()) {
	// Whoever counts or logs bytes wraps the empty body, too. net/http is waiting for the
	// next request already: a deadline now would end the context of this and all later
	// requests of the connection.
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return func() {}
	}
	over, p := make(chan struct{}), &patient{ReadCloser: r.Body}
	giveUp := func() {
		// A moment long ago: what waits for the body fails now. A server that knows no
		// deadlines has its own ways.
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
	}
	timer := time.AfterFunc(d, func() {
		defer close(over)
		p.late.Store(true)
		giveUp()
	})
	// The timer must not fire when the handler is gone and w with it.
	p.stop = sync.OnceFunc(func() {
		if !timer.Stop() {
			<-over
		}
	})
	r.Body = p
	return func() {
		p.stop()
		// HTTP/2 ends the stream by itself.
		if !p.ended.Load() && r.ProtoMajor == 1 {
			giveUp()
		}
	}
}

// patient is a body whose end stops the clock.
type patient struct {
	io.ReadCloser
	stop        func()
	late, ended atomic.Bool
}

// Read implements io.Reader. A server that sets a deadline of its own for each
// read (Caddy's read_idle) may take ours back, once.
func (p *patient) Read(b []byte) (int, error) {
	if p.late.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := p.ReadCloser.Read(b)
	if err != nil {
		p.ended.Store(true)
		p.stop()
	}
	return n, err
}

// Unread says why a body could not be read: 408 if it took too long, else 400.
func Unread(err error) *Error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return Errorf(CodeInvalidRequest, "the body could not be read").Because(err)
	}
	return &Error{
		Code: CodeInvalidRequest, Status: http.StatusRequestTimeout,
		Description: "the body took too long", Err: err,
	}
}

// ReadBody reads a body of at most limit bytes. Errors are *Error: 413 for one
// that is too large, else those of Unread.
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, Unread(err)
	}
	if int64(len(body)) > limit {
		return nil, &Error{
			Code: CodeInvalidRequest, Status: http.StatusRequestEntityTooLarge,
			Description: "the body is too large",
		}
	}
	return body, nil
}
