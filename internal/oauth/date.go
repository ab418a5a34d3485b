package oauth

import (
	"net/http"
	"strconv"
	"time"
)

// maxAge is how long answers may have stood in caches.
const maxAge = 366 * 24 * time.Hour

// AnsweredAt is what a server's clock shows, by an answer: Date is when it was made, and
// Age how long it stood in caches since (RFC 9111 §5.1). Zero = it tells nothing.
func AnsweredAt(h http.Header) time.Time {
	made, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	seconds, err := strconv.ParseUint(h.Get("Age"), 10, 32)
	age := time.Duration(seconds) * time.Second
	if err != nil || age > maxAge {
		return made
	}
	return made.Add(age)
}
