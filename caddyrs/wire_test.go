package caddyrs

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// wired is a request as it goes over the wire: nothing checks or cleans it.
type wired struct {
	method, target, host string
	protocol             string // of an extended CONNECT (RFC 8441, RFC 9220)
	header               []string
	body                 string
	open                 bool // more of the body may come
}

// pseudo are the fields of HTTP/2 and 3, pseudo-header fields first.
func (q wired) pseudo() [][2]string {
	fields := [][2]string{{":method", q.method}, {":scheme", "https"}, {":authority", q.host}, {":path", q.target}}
	if q.protocol != "" {
		fields = append(fields, [2]string{":protocol", q.protocol})
	} else if q.method == http.MethodConnect {
		fields = fields[:1:1] // RFC 9113 §8.5: neither :scheme nor :path
		fields = append(fields, [2]string{":authority", q.target})
	}
	for i := 0; i < len(q.header); i += 2 {
		fields = append(fields, [2]string{lower(q.header[i]), q.header[i+1]})
	}
	return fields
}

func lower(name string) string { return string(bytes.ToLower([]byte(name))) }

// reply is an answer; the status is 0 if the request was refused without one.
type reply struct {
	status int
	body   string
}

// wire is a connection to the front.
type wire interface {
	send(t *testing.T, q wired) reply
	close()
}

const wireTimeout = 10 * time.Second

func clientTLS(protocol string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12} //nolint:gosec // a certificate of the test
}

// wires are all protocols that Caddy speaks.
func wires(address string) map[string]wire {
	return map[string]wire{
		"HTTP 1.1": &wire1{address: address}, "HTTP 2": &wire2{address: address}, "HTTP 3": &wire3{address: address},
	}
}

func dialTLS(t *testing.T, address, protocol string) *tls.Conn {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: wireTimeout}, "tcp", address, clientTLS(protocol))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(wireTimeout))
	return conn
}

// wire1 is HTTP/1.1.
type wire1 struct {
	address string
	conn    *tls.Conn
	in      *bufio.Reader
}

func (w *wire1) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

func (w *wire1) send(t *testing.T, q wired) reply {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", q.method, q.target, q.host)
	for i := 0; i < len(q.header); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", q.header[i], q.header[i+1])
	}
	if q.body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(q.body))
	}
	fmt.Fprintf(&b, "\r\n%s", q.body)
	return w.raw(t, b.Bytes())
}

// raw sends bytes and gives the first answer.
func (w *wire1) raw(t *testing.T, request []byte) reply {
	t.Helper()
	if w.conn == nil {
		w.conn = dialTLS(t, w.address, "http/1.1")
		w.in = bufio.NewReader(w.conn)
	}
	_ = w.conn.SetDeadline(time.Now().Add(wireTimeout))
	if _, err := w.conn.Write(request); err != nil {
		w.close()
		return reply{}
	}
	method, _, _ := strings.Cut(string(request), " ")
	resp, err := http.ReadResponse(w.in, &http.Request{Method: method})
	if err != nil {
		w.close()
		return reply{}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.Close {
		w.close() // the next request begins anew
	}
	return reply{resp.StatusCode, string(body)}
}

// wire2 is HTTP/2 with a frame writer of its own.
type wire2 struct {
	address string
	conn    *tls.Conn
	framer  *http2.Framer
	next    uint32
}

func (w *wire2) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

func (w *wire2) dial(t *testing.T) {
	t.Helper()
	w.conn, w.next = dialTLS(t, w.address, "h2"), 1
	w.framer = http2.NewFramer(w.conn, w.conn)
	w.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(w.conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := w.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
}

func (w *wire2) send(t *testing.T, q wired) reply {
	t.Helper()
	if w.conn == nil {
		w.dial(t)
	}
	_ = w.conn.SetDeadline(time.Now().Add(wireTimeout))
	stream, err := w.write(q)
	if err == nil {
		var a reply
		if a, err = w.read(stream); err == nil {
			return a
		}
	}
	w.close() // the next request begins anew
	return reply{}
}

func (w *wire2) write(q wired) (uint32, error) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range q.pseudo() {
		if err := enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return 0, err
		}
	}
	stream, text := w.next, block.Bytes()
	w.next += 2
	first := text[:min(len(text), 16<<10)]
	err := w.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: first, EndHeaders: len(first) == len(text), EndStream: q.body == "" && !q.open,
	})
	for text = text[len(first):]; len(text) > 0 && err == nil; text = text[len(first):] {
		first = text[:min(len(text), 16<<10)]
		err = w.framer.WriteContinuation(stream, len(first) == len(text), first)
	}
	if err == nil && q.body != "" {
		err = w.framer.WriteData(stream, !q.open, []byte(q.body))
	}
	return stream, err
}

var errReset = errors.New("the stream was reset")

// read waits for the answer on a stream and for its end.
func (w *wire2) read(stream uint32) (a reply, err error) {
	for {
		f, err := w.framer.ReadFrame()
		if err != nil {
			return a, err
		}
		ended := false
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = w.framer.WriteSettingsAck()
			}
		case *http2.GoAwayFrame:
			return a, errReset
		case *http2.RSTStreamFrame:
			ended = f.StreamID == stream
		case *http2.MetaHeadersFrame:
			if f.StreamID == stream && a.status < 200 {
				a.status, _ = strconv.Atoi(f.PseudoValue("status"))
			}
			ended = f.StreamID == stream && f.StreamEnded()
		case *http2.DataFrame:
			a.body += string(f.Data())
			_ = w.framer.WriteWindowUpdate(0, max(1, uint32(len(f.Data()))))
			ended = f.StreamID == stream && f.StreamEnded()
		}
		if ended {
			return a, nil
		}
	}
}

// wire3 is HTTP/3 on QUIC streams.
type wire3 struct {
	address string
	conn    *quic.Conn
}

func (w *wire3) close() {
	if w.conn != nil {
		_ = w.conn.CloseWithError(0, "")
		w.conn = nil
	}
}

// Frame and stream types of RFC 9114.
const (
	h3Data     = 0x0
	h3Headers  = 0x1
	h3Settings = 0x4
	h3Control  = 0x0
)

func (w *wire3) dial(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wireTimeout)
	defer cancel()
	conn, err := quic.DialAddr(ctx, w.address, clientTLS("h3"), nil)
	if err != nil {
		t.Fatal(err)
	}
	control, err := conn.OpenUniStream()
	if err == nil {
		_, err = control.Write([]byte{h3Control, h3Settings, 0})
	}
	if err != nil {
		t.Fatal(err)
	}
	w.conn = conn
}

func h3Frame(kind uint64, payload []byte) []byte {
	return append(quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(payload))), payload...)
}

func (w *wire3) send(t *testing.T, q wired) reply {
	t.Helper()
	if w.conn == nil {
		w.dial(t)
	}
	stream, err := w.write(t, q)
	if err == nil {
		a := w.read(stream)
		if a.status != 0 {
			return a
		}
	}
	if w.conn.Context().Err() != nil { // the connection is gone with it
		w.conn = nil
	}
	return reply{}
}

func (w *wire3) write(t *testing.T, q wired) (*quic.Stream, error) {
	t.Helper()
	var block bytes.Buffer
	enc := qpack.NewEncoder(&block)
	for _, f := range q.pseudo() {
		if err := enc.WriteField(qpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return nil, err
		}
	}
	message := h3Frame(h3Headers, block.Bytes())
	if q.body != "" {
		message = append(message, h3Frame(h3Data, []byte(q.body))...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), wireTimeout)
	defer cancel()
	stream, err := w.conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	_ = stream.SetDeadline(time.Now().Add(wireTimeout))
	if _, err := stream.Write(message); err != nil {
		return nil, err
	}
	if !q.open {
		err = stream.Close()
	}
	return stream, err
}

// read waits for the answer on a stream and for its end.
func (w *wire3) read(stream *quic.Stream) (a reply) {
	in := quicvarint.NewReader(stream)
	for {
		kind, err1 := quicvarint.Read(in)
		size, err2 := quicvarint.Read(in)
		if err1 != nil || err2 != nil {
			return a
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(in, payload); err != nil {
			return a
		}
		switch {
		case kind == h3Data:
			a.body += string(payload)
		case kind == h3Headers && a.status < 200:
			a.status, _ = h3Status(payload)
		}
	}
}

func h3Status(block []byte) (int, error) {
	next := qpack.NewDecoder().Decode(block)
	for {
		f, err := next()
		if err != nil {
			return 0, err
		}
		if f.Name == ":status" {
			return strconv.Atoi(f.Value)
		}
	}
}
