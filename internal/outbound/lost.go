package outbound

import (
	"errors"
	"io"
	"syscall"
)

// Lost tells of an error of a round trip that the connection ended before there was
// an answer. That happens to the first request over a new connection, too: a server
// that is loaded anew (a Caddy) closes connections that its old listener took in its
// last moment. What may be sent twice is best sent again at once.
func Lost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
