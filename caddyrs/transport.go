package caddyrs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/rs"
	"github.com/caddy-uma/caddy-uma/internal/statuslist"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// transport carries the engine's requests to the authorization server.
type transport struct {
	app              *umaapp.App
	issuer, clientID string
	local            bool // without credentials
	client           *http.Client
}

var errNoLocalAS = errors.New("client_secret, private_key_jwt or tls_client_auth is missing, and no uma_server with this issuer runs in this process")

// do chooses the way at request time: the authorization server of this
// configuration is asked in the process for what needs no secret (DESIGN §4),
// everything else goes over the network. A request without a secret never does.
func (t *transport) do(call rs.Call, r *http.Request) (*http.Response, error) {
	as, here := t.app.AS(t.issuer)
	switch {
	case here && (t.local || handedOver(call)):
		return handOver(as.Local(t.clientID), r), nil
	case t.local:
		return nil, errNoLocalAS
	default:
		return t.client.Do(r)
	}
}

func handedOver(call rs.Call) bool {
	return call == rs.CallMetadata || call == rs.CallKeys || call == rs.CallPermission || call == rs.CallIntrospection ||
		call == rs.CallStatus
}

// handOverTime bounds a call in the process.
const handOverTime = 10 * time.Second

// handOver serves a request by a handler in this process. The context is a new
// one: nothing of the request that is being protected may reach the
// authorization server.
func handOver(h http.Handler, r *http.Request) *http.Response {
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	in := r.WithContext(ctx) // the engine makes each request for one call, so its header is not shared
	in.RequestURI = r.URL.RequestURI()
	in.Host = r.URL.Host
	in.RemoteAddr = "127.0.0.1:0"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &recorder{header: http.Header{}, limit: maxRecorded}
	h.ServeHTTP(w, in)
	return w.response(r)
}

// maxRecorded is more than the engine reads, so that it sees what is too large. The
// largest that it reads is a status list.
const maxRecorded = statuslist.MaxToken + 1<<10

// recorder is a http.ResponseWriter that keeps the answer.
type recorder struct {
	header http.Header
	sent   http.Header
	status int
	body   bytes.Buffer
	limit  int
}

// Header implements http.ResponseWriter.
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status, w.sent = status, maps.Clone(w.header)
	}
}

var errTooMuch = errors.New("the answer is too large")

// Write implements http.ResponseWriter.
func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.body.Len()+len(p) > w.limit {
		return 0, errTooMuch
	}
	return w.body.Write(p)
}

func (w *recorder) response(r *http.Request) *http.Response {
	w.WriteHeader(http.StatusOK)
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}
}
