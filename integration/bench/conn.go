package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"
)

// conn is one kept connection. The client of net/http would use more CPU than the
// server that is measured; this one writes requests that are ready and reads of
// the answer what is needed.
type conn struct {
	addr string
	tcp  net.Conn
	in   *bufio.Reader
	body []byte
	// dials counts connections, so that one which the server closes is seen.
	dials int
}

func newConn(port string) *conn { return &conn{addr: "127.0.0.1:" + port} }

// answer is valid until the next request of its connection.
type answer struct {
	status    int
	challenge []byte // the last WWW-Authenticate
	body      []byte
}

const answerLimit = 30 * time.Second

var errMalformed = errors.New("the answer is not HTTP")

// do sends a request and reads the answer.
func (c *conn) do(request []byte) (answer, error) {
	if c.tcp == nil {
		if err := c.dial(); err != nil {
			return answer{}, err
		}
	}
	_ = c.tcp.SetDeadline(time.Now().Add(answerLimit))
	_, err := c.tcp.Write(request)
	var a answer
	if err == nil {
		var last bool
		if a, last, err = c.read(); err == nil && !last {
			return a, nil
		}
	}
	c.close()
	return a, err
}

func (c *conn) dial() (err error) {
	if c.tcp, err = net.DialTimeout("tcp", c.addr, answerLimit); err != nil {
		return err
	}
	c.dials++
	c.in = bufio.NewReaderSize(c.tcp, 16<<10)
	return nil
}

func (c *conn) close() {
	if c.tcp != nil {
		_ = c.tcp.Close()
		c.tcp = nil
	}
}

// read reads an answer; last says that the server closes the connection.
func (c *conn) read() (a answer, last bool, err error) {
	line, err := c.line()
	if err != nil {
		return a, true, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return a, true, errMalformed
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, true, errMalformed
	}
	length, chunked := 0, false
	for {
		if line, err = c.line(); err != nil {
			return a, true, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch { // the names that Go's server writes are canonical
		case string(name) == "Content-Length":
			length, err = strconv.Atoi(string(value))
		case string(name) == "Transfer-Encoding":
			chunked = string(value) == "chunked"
		case string(name) == "Connection":
			last = string(value) == "close"
		case string(name) == "Www-Authenticate":
			a.challenge = append(a.challenge, value...)
		}
		if err != nil {
			return a, true, errMalformed
		}
	}
	c.body = c.body[:0]
	if chunked {
		err = c.readChunks()
	} else {
		err = c.readBody(length)
	}
	a.body = c.body
	return a, last, err
}

func (c *conn) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

func (c *conn) readBody(n int) error {
	start := len(c.body)
	c.body = append(c.body, make([]byte, n)...)
	_, err := io.ReadFull(c.in, c.body[start:])
	return err
}

func (c *conn) readChunks() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return errMalformed
		}
		if n > 0 {
			err = c.readBody(int(n))
		}
		if err != nil {
			return err
		}
		if _, err = c.line(); err != nil || n == 0 { // there are no trailers
			return err
		}
	}
}

// get and post make requests. Without a source the client is 127.0.0.1.
func get(path, bearer, source string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: localhost\r\n", path)
	if bearer != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", bearer)
	}
	proxied(&b, source)
	b.WriteString("\r\n")
	return b.Bytes()
}

func post(path string, form url.Values, source string) []byte {
	var b bytes.Buffer
	body := form.Encode()
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", path, len(body))
	proxied(&b, source)
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

// proxied says what a proxy in front says, which terminates TLS.
func proxied(b *bytes.Buffer, source string) {
	b.WriteString("X-Forwarded-Proto: https\r\n")
	if source != "" {
		fmt.Fprintf(b, "X-Forwarded-For: %s\r\n", source)
	}
}
