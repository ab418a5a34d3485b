package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a request tells about the instance of a resource.
const (
	// MaxCaptures is how many captures a pattern may have.
	MaxCaptures = 8
	// MaxCapture is how many bytes a captured value, or an owner that is named
	// with it, may have.
	MaxCapture = 256
)

// Capture is a named value that the path of a request has where the pattern of
// its resource, such as /users/:user/photos/:id, has a name.
type Capture struct {
	Name  string `json:"n"`
	Value string `json:"v"`
}

// IsCaptureName accepts the names of captures: conditions of policies can write
// them, too (resource.captures.user).
func IsCaptureName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// IsCaptureValue accepts what may tell one instance from another: neither empty
// nor long, and nothing that ends a line or a text.
func IsCaptureValue(value string) bool {
	return value != "" && len(value) <= MaxCapture && utf8.ValidString(value) && !strings.ContainsFunc(value, unicode.IsControl)
}

// InstanceID gives the identifier of the instance of a registered pattern that a
// request is for. Resource server and authorization server compute it, each for
// itself: nobody has to ask for it, the resource server keeps nothing for an
// instance, and two nodes that register one at once write the same document.
//
// It is the whole of base64url(SHA-256(…)), 43 characters, over the texts
// "uma-instance", the pattern's _id, the owner that the request names ("" = the
// pattern's own), and name and value of each capture in the order of the names. A
// length of four bytes stands before each text, so that no two lists of texts have
// one encoding. The captured values are anybody's choice, which is why the hash is
// not cut short; nor can the id be one of a registration, which has 22 characters.
func InstanceID(pattern, owner string, captures []Capture) string {
	text := make([]byte, 0, 256)
	for _, part := range []string{"uma-instance", pattern, owner} {
		text = appendText(text, part)
	}
	byName := func(a, b Capture) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(captures, byName) {
		captures = slices.SortedStableFunc(slices.Values(captures), byName)
	}
	for _, c := range captures {
		text = appendText(appendText(text, c.Name), c.Value)
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func appendText(to []byte, text string) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(len(text))) //nolint:gosec // far below 4 GiB
	return append(to, text...)
}
