package rqp

import (
	"bytes"
	"io"
	"net/http"
)

// replay sends one request twice: without and with an RPT.
type replay struct {
	req  *http.Request
	get  func() (io.ReadCloser, error) // nil: no body
	once bool                          // the body is too large to be kept
}

// newReplay keeps the body unless it can be had again.
func newReplay(req *http.Request, limit int64) (*replay, error) {
	r := &replay{req: req}
	if req.Body == nil || req.Body == http.NoBody {
		return r, nil
	}
	if req.GetBody != nil {
		r.get = req.GetBody
		_ = req.Body.Close()
		return r, nil
	}
	head, err := io.ReadAll(io.LimitReader(req.Body, limit+1))
	if err != nil {
		_ = req.Body.Close()
		return nil, err
	}
	if int64(len(head)) <= limit {
		_ = req.Body.Close()
		r.get = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(head)), nil }
		return r, nil
	}
	r.once = true
	r.get = func() (io.ReadCloser, error) {
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(head), req.Body), req.Body}, nil
	}
	return r, nil
}

// next is the request for one attempt, a copy: the caller's is never changed.
func (r *replay) next() (*http.Request, error) {
	req := r.req.Clone(r.req.Context())
	req.GetBody = nil
	if r.get == nil {
		return req, nil
	}
	body, err := r.get()
	if err != nil {
		return nil, err
	}
	req.Body = body
	if !r.once {
		req.GetBody = r.get // for a transport that could not send the first one
	}
	return req, nil
}
