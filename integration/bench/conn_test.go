package main

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestRead(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		status     int
		body       string
		last       bool
		fails      bool
	}{
		{name: "length", text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", status: 200, body: "hello"},
		{name: "no body", text: "HTTP/1.1 401 Unauthorized\r\n\r\n", status: 401},
		{name: "chunks", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", status: 200, body: "hello"},
		{name: "last", text: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", status: 200, last: true},
		{name: "cut body", text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", fails: true},
		{name: "cut chunk", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhe", fails: true},
		{name: "cut header", text: "HTTP/1.1 200 OK\r\nContent-Le", fails: true},
		{name: "no HTTP", text: "SSH-2.0-OpenSSH\r\n\r\n", fails: true},
		{name: "no status", text: "HTTP/1.1 OK and fine\r\n\r\n", fails: true},
		{name: "no length", text: "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", fails: true},
	} {
		c := &conn{in: bufio.NewReader(strings.NewReader(tc.text))}
		a, last, err := c.read()
		if (err != nil) != tc.fails || !tc.fails && (a.status != tc.status || string(a.body) != tc.body || last != tc.last) {
			t.Errorf("%s: %d %q %v %v", tc.name, a.status, a.body, last, err)
		}
	}
}

func TestTicketIn(t *testing.T) {
	c := &conn{in: bufio.NewReader(strings.NewReader("HTTP/1.1 401 Unauthorized\r\nWww-Authenticate: UMA as_uri=\"x\", ticket=\"abc\"\r\n\r\n"))}
	a, _, err := c.read()
	if err != nil {
		t.Fatal(err)
	}
	if ticket, err := ticketIn(a); ticket != "abc" || err != nil {
		t.Errorf("%q, %v", ticket, err)
	}
	for _, challenge := range []string{"", `Bearer error="x"`, `UMA ticket=""`, `UMA ticket="abc`} {
		if ticket, err := ticketIn(answer{challenge: []byte(challenge)}); err == nil {
			t.Errorf("%s: ticket %q", challenge, ticket)
		}
	}
}

func TestTally(t *testing.T) {
	results := []error{nil, &statusError{want: 200, got: 500}, io.EOF, nil}
	i := 0
	got := fixedNumber([]op{func() error { i++; return results[i-1] }}, int64(len(results)), 0)
	if got.ops != 4 || got.unexpected != 1 || got.errors != 1 || len(got.latencies) != 2 || !errors.As(got.firstError, new(*statusError)) {
		t.Errorf("%+v", got)
	}
}

func TestFixedNumber(t *testing.T) {
	ops := make([]op, 4)
	for i := range ops {
		ops[i] = func() error { return nil }
	}
	got := fixedNumber(ops, 100, 2000)
	if got.ops != 100 || got.took < 45*time.Millisecond {
		t.Errorf("%d ops in %v, want 100 in 50ms or more", got.ops, got.took)
	}
}
