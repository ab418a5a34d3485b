// Package chain links the lines of a log, so that a line that was changed, left
// out or put in later is noticed. Each line is a JSON object that ends with a member
//
//	"chain":{"id":"…","seq":7,"prev":"…","hash":"…"}
//
// id names the chain, seq counts its lines from 1, prev is the hash of the line
// before, and hash is that of everything in this line before its own member. With a
// key the last member is called mac and is an HMAC: who has no key cannot make
// lines. The first line of a chain has the hash of the last line of the chain
// before as prev, or zeros if there was none.
//
// What this proves, and what not, stands in docs/audit.md. The encoder of Caddy's
// logs and the command `caddy uma audit verify` use the package.
package chain

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"
)

// Lengths of texts in a line: base64url of 12 and of 32 bytes.
const (
	idLength   = 16
	hashLength = 43
)

// label parts these hashes from those of everything else that is made with the key.
const label = "uma_chain v1\n"

// zeros is the prev of a line without a line before.
var zeros = strings.Repeat("A", hashLength) //nolint:gochecknoglobals // a constant

// Head is a line of a chain. Kept at another place, it is an anchor: what stood in
// the log up to this line cannot be changed any more without being noticed.
type Head struct {
	Chain string
	Seq   uint64
	Hash  string
}

// String is the form of anchors, chain:seq:hash.
func (h Head) String() string { return fmt.Sprintf("%s:%d:%s", h.Chain, h.Seq, h.Hash) }

// ParseHead reads what String writes.
func ParseHead(text string) (Head, error) {
	id, rest, _ := strings.Cut(text, ":")
	seq, sum, _ := strings.Cut(rest, ":")
	n, ok := parseSeq(seq)
	if !ok || !isText(id, idLength) || !isText(sum, hashLength) {
		return Head{}, errors.New("an anchor has the form chain:seq:hash, as verify prints it")
	}
	return Head{Chain: id, Seq: n, Hash: sum}, nil
}

// Chain gives lines their links. It is safe for concurrent use: all encoders of one
// log share it.
type Chain struct {
	begin func() Head

	mu   sync.Mutex
	head Head
}

// New makes a chain, which gets its name with its first line. begin is asked then
// for the line before, which may be the last of another chain; the zero Head says
// that there is none.
func New(begin func() Head) *Chain { return &Chain{begin: begin} }

// Link gives what must stand in place of the closing brace of a line, which is a
// JSON object without a line end. A nil key makes a hash, another one a MAC.
func (c *Chain) Link(line, key []byte) (tail []byte, err error) {
	if len(line) < 2 || line[0] != '{' || line[len(line)-1] != '}' {
		return nil, errors.New("chain: the line is no JSON object")
	}
	open := line[:len(line)-1]
	c.mu.Lock()
	defer c.mu.Unlock()
	prev := c.head.Hash
	if c.head.Seq == 0 {
		if c.head.Chain, prev, err = c.start(); err != nil {
			return nil, err
		}
	}
	tail = link(len(open) > 1, c.head.Chain, c.head.Seq+1, prev)
	c.head.Seq++
	c.head.Hash = sum(key, open, tail)
	return fmt.Appendf(tail, `,"%s":"%s"}}`, member(key), c.head.Hash), nil
}

func (c *Chain) start() (id, prev string, err error) {
	var random [12]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", "", err
	}
	prev = zeros
	if c.begin != nil {
		if before := c.begin(); before.Seq > 0 {
			prev = before.Hash
		}
	}
	return base64.RawURLEncoding.EncodeToString(random[:]), prev, nil
}

// link is the member without its hash.
func link(comma bool, id string, seq uint64, prev string) []byte {
	text := make([]byte, 0, 200)
	if comma {
		text = append(text, ',')
	}
	return fmt.Appendf(text, `"chain":{"id":"%s","seq":%d,"prev":"%s"`, id, seq, prev)
}

// member is the name of the hash: a chain with a key does not become one without
// by leaving the key away.
func member(key []byte) string {
	if key == nil {
		return "hash"
	}
	return "mac"
}

func sum(key []byte, parts ...[]byte) string {
	var h hash.Hash
	if key == nil {
		h = sha256.New()
	} else {
		h = hmac.New(sha256.New, key)
	}
	h.Write([]byte(label))
	for _, part := range parts {
		h.Write(part)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// isText tells whether s is base64url of this length.
func isText(s string, length int) bool {
	if len(s) != length {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// parseSeq reads a number in its one spelling.
func parseSeq(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}
