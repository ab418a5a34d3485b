package wrap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// merger makes one document of the provider's and ours.
type merger func(r *http.Request, next Next, theirs []byte) (merged []byte, cacheControl string, err error)

// publish lets the provider answer a request for a document and adds ours to it.
// Only 200 with JSON is touched; every other answer is the provider's own.
func (f *Front) publish(w http.ResponseWriter, r *http.Request, next Next, merge merger) error {
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	to := newRecorder(w, stop)
	if err := to.run(next, f.whole(r.WithContext(ctx))); err != nil {
		return err
	}
	if !to.kept {
		return nil // it went through, if there was an answer at all
	}
	theirs, err := to.document()
	if err != nil {
		return f.unpublished(w, err)
	}
	merged, cache, err := merge(r, next, theirs)
	if err != nil {
		return f.unpublished(w, err)
	}
	describe(w.Header(), to.header, merged, cache)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(merged)) // HEAD, If-None-Match, Range
	return nil
}

// whole is r as a request for the whole document as it is: the answer to HEAD
// needs its length too, and a 304 or a compressed body says nothing to us. The
// provider learns its public name from the configuration.
func (f *Front) whole(r *http.Request) *http.Request {
	c := r.Clone(r.Context())
	c.Method, c.Host = http.MethodGet, f.issuerURL.Host
	for _, name := range []string{
		"Accept-Encoding", "If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range",
	} {
		c.Header.Del(name)
	}
	return c
}

// describe gives the answer the provider's header fields, without those that
// speak of its own body.
func describe(h, theirs http.Header, merged []byte, cacheControl string) {
	clear(h)
	maps.Copy(h, theirs)
	for _, name := range []string{
		"Content-Length", "Transfer-Encoding", "Trailer", "Last-Modified", "Expires", "Accept-Ranges",
		"Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "Signature", "Signature-Input",
	} {
		h.Del(name)
	}
	sum := sha256.Sum256(merged)
	h.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:16])+`"`)
	h.Set("Cache-Control", caching(strings.Join(h.Values("Cache-Control"), ", "), cacheControl))
}

// caching gives Cache-Control: the provider's, unless ours must be shorter. What
// it forbids stays forbidden.
func caching(own, ours string) string {
	forbids := strings.Contains(own, "no-store") || strings.Contains(own, "no-cache") || strings.Contains(own, "private")
	switch {
	case forbids, own != "" && ours == "":
		return own
	case ours == "":
		return metadataCache
	default:
		return ours
	}
}

// How long documents may be cached: as those of the service itself. New keys are
// published long before they sign, so a key set must not be older than that.
const (
	metadataCache = "public, max-age=3600"
	keysCache     = "public, max-age=300"
)

// misconfiguredError is a cause that the administrator must remove; its text is for
// him, and may be shown to everybody.
type misconfiguredError struct{ text string }

// Error implements error.
func (e misconfiguredError) Error() string { return e.text }

// unpublished: nothing partial leaves (CONFORMANCE A28).
func (f *Front) unpublished(w http.ResponseWriter, err error) error {
	if f.mayLog() {
		f.log.Error("the documents of the OpenID provider and of uma_sts could not be merged", zap.String("op", f.issuer), zap.Error(err))
	}
	answer := oauth.Unavailable(fmt.Errorf("merge_jwks: %w", err))
	if m, ok := errors.AsType[misconfiguredError](err); ok {
		answer.Description = m.text
	}
	oauth.WriteError(w, answer)
	return nil
}

// logPause: anybody can ask for documents as often as he likes.
const logPause = 10 * time.Second

func (f *Front) mayLog() bool {
	now, last := f.learn.now().UnixNano(), f.logged.Load()
	return (last == 0 || now-last >= int64(logPause)) && f.logged.CompareAndSwap(last, now)
}
