package fakeop

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// DNS is a name server on 127.0.0.1 that answers as a test wants, over UDP and TCP.
type DNS struct {
	udp   net.PacketConn
	tcp   net.Listener
	reply func(DNSQuestion) []byte
	asked atomic.Int64
}

// DNSQuestion is what is asked; it makes the answers.
type DNSQuestion struct {
	Name string // lower case, without the dot at the end
	Type uint16
	TCP  bool

	id       [2]byte
	question []byte
}

// Types of records.
const (
	TypeA     = 1
	TypeCNAME = 5
	TypeAAAA  = 28
)

// Codes of answers.
const (
	ServFail = 2
	NXDomain = 3
)

// NewDNS starts a name server. A nil reply is silence.
func NewDNS(t testing.TB, reply func(DNSQuestion) []byte) *DNS {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(err)
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil { // somebody else has the port: another one
		_ = udp.Close()
		return NewDNS(t, reply)
	}
	d := &DNS{udp: udp, tcp: tcp, reply: reply}
	t.Cleanup(func() { _, _ = udp.Close(), tcp.Close() })
	go d.serveUDP()
	go d.serveTCP()
	return d
}

// Asked is how many questions came.
func (d *DNS) Asked() int { return int(d.asked.Load()) }

// Resolver asks this name server alone.
func (d *DNS) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, d.udp.LocalAddr().String())
	}}
}

func (d *DNS) serveUDP() {
	buffer := make([]byte, 4096)
	for {
		n, from, err := d.udp.ReadFrom(buffer)
		if err != nil {
			return
		}
		q, ok := question(buffer[:n])
		if d.asked.Add(1); !ok {
			continue
		}
		if answer := d.reply(q); answer != nil {
			_, _ = d.udp.WriteTo(answer[:min(len(answer), 1232)], from)
		}
	}
}

func (d *DNS) serveTCP() {
	for {
		conn, err := d.tcp.Accept()
		if err != nil {
			return
		}
		go d.serveConn(conn)
	}
}

func (d *DNS) serveConn(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		message := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, message); err != nil {
			return
		}
		q, ok := question(message)
		if d.asked.Add(1); !ok {
			return
		}
		q.TCP = true
		answer := d.reply(q)
		if answer == nil { // silence, until the other side has enough
			_, _ = io.Copy(io.Discard, conn)
			return
		}
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	}
}

// question reads the first question of a message (RFC 1035 §4.1).
func question(m []byte) (q DNSQuestion, ok bool) {
	if len(m) < 12 {
		return q, false
	}
	var labels []string
	at := 12
	for at < len(m) && m[at] != 0 {
		end := at + 1 + int(m[at])
		if end >= len(m) {
			return q, false
		}
		labels = append(labels, string(m[at+1:end]))
		at = end
	}
	if at+5 > len(m) {
		return q, false
	}
	q.id, q.question = [2]byte(m), append([]byte(nil), m[12:at+5]...)
	q.Name, q.Type = strings.ToLower(strings.Join(labels, ".")), binary.BigEndian.Uint16(m[at+1:])
	return q, true
}

// Code is an answer without records.
func (q DNSQuestion) Code(code byte) []byte { return q.message(code, 0, nil) }

// Addresses answers with IPv4 addresses; with none for another type. Over UDP an
// answer that is too long says so.
func (q DNSQuestion) Addresses(addrs ...net.IP) []byte {
	if q.Type != TypeA {
		return q.message(0, 0, nil)
	}
	var records []byte
	for _, a := range addrs {
		records = append(records, resource([]byte{0xc0, 12}, TypeA, a.To4())...)
	}
	return q.message(0, len(addrs), records)
}

// Alias answers with a CNAME and what follows it.
func (q DNSQuestion) Alias(to string, addrs ...net.IP) []byte {
	target := encodeName(to)
	records := resource([]byte{0xc0, 12}, TypeCNAME, target)
	n := 1
	if q.Type == TypeA {
		for _, a := range addrs {
			records = append(records, resource(target, TypeA, a.To4())...)
			n++
		}
	}
	return q.message(0, n, records)
}

func (q DNSQuestion) message(code byte, n int, records []byte) []byte {
	truncated := byte(0)
	if !q.TCP && len(records) > 1000 {
		truncated, n, records = 2, 0, nil
	}
	m := []byte{q.id[0], q.id[1], 0x84 | truncated, 0x80 | code, 0, 1, byte(n >> 8), byte(n), 0, 0, 0, 0}
	return append(append(m, q.question...), records...)
}

func resource(name []byte, kind uint16, data []byte) []byte {
	r := append([]byte(nil), name...)
	r = binary.BigEndian.AppendUint16(r, kind)
	r = append(r, 0, 1, 0, 0, 0, 0) // IN, not to be kept
	r = binary.BigEndian.AppendUint16(r, uint16(len(data)))
	return append(r, data...)
}

func encodeName(name string) []byte {
	var b []byte
	for label := range strings.SplitSeq(name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0)
}
