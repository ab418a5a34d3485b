package uma

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/seal"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Bounds of a block.
const (
	maxBlockReason = 500
	maxBlockTime   = 10 * 365 * 24 * time.Hour
)

// blockView is a block as administrators see it.
type blockView struct {
	Kind blockKind `json:"kind"`
	// Who is the address, domain or issuer; "" if it cannot be read any more.
	Who    string    `json:"who"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason,omitempty"`
}

// blocked is the answer to who blocks: Ended is how many grants ended.
type blocked struct {
	blockView
	Ended int `json:"ended"`
}

// blockPage is a page of the blocks. Next is what to ask for the page after, "" at
// the end.
type blockPage struct {
	Blocks []blockView `json:"blocks"`
	Next   string      `json:"next,omitempty"`
}

// blockText is what is sealed of a block.
type blockText struct {
	Who    string `json:"who"`
	Reason string `json:"reason,omitempty"`
}

// adminBlock blocks somebody, from now on, and ends what he has. The last block of
// the same counts. A call that breaks off can be repeated: the block stands.
func (s *Server) adminBlock(ctx context.Context, r *http.Request) (any, error) {
	var in struct {
		Who    string `json:"who"`
		For    int64  `json:"for"` // seconds; 0 = for good
		Reason string `json:"reason"`
	}
	if err := readAdmin(r, &in); err != nil {
		return nil, err
	}
	b, err := parseBlockable(in.Who)
	if err != nil {
		return nil, err
	}
	if in.For < 0 || in.For > int64(maxBlockTime/time.Second) {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "for must be a number of seconds up to ten years; leave it out to block for good")
	}
	if len(in.Reason) > maxBlockReason || !utf8.ValidString(in.Reason) {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "reason must be a text of at most %d bytes", maxBlockReason)
	}
	view := s.newBlock(b, in.For, in.Reason)
	if err := s.again(func() error { return s.writeBlock(ctx, b, view) }); err != nil {
		return nil, err
	}
	// Whoever asked may have gone: what lives must end all the same.
	ended, err := s.endAll(context.WithoutCancel(ctx), b)
	s.observeBlock(ctx, b, event.Block{Reason: view.Reason, Until: view.Until, Ended: ended})
	if err != nil {
		return nil, &oauth.Error{
			Code: oauth.CodeUnavailable, Status: http.StatusServiceUnavailable, Err: err,
			Description: "the block stands, but not everything that is live could be ended; give the command again",
		}
	}
	return blocked{view, ended}, nil
}

func (s *Server) newBlock(b blockable, seconds int64, reason string) blockView {
	now := s.cfg.Now().UTC().Truncate(time.Second)
	view := blockView{Kind: b.kind, Who: b.value, Since: now, Reason: reason}
	if seconds > 0 {
		view.Until = now.Add(time.Duration(seconds) * time.Second)
	}
	return view
}

// writeBlock records a block in place of an older one of the same.
func (s *Server) writeBlock(ctx context.Context, b blockable, view blockView) error {
	_, key, err := s.cfg.SubjectKeys.Current(ctx)
	if err != nil {
		return s.unavailable("subject key", err)
	}
	id := blockID(key, b)
	rec := blockRecord{version: version{currentVersion}, Kind: b.kind, At: view.Since.Unix()}
	if !view.Until.IsZero() {
		rec.Until = view.Until.Unix()
	}
	if rec.Sealed, err = s.sealBlock(ctx, key, id, blockText{view.Who, view.Reason}); err != nil {
		return s.unavailable("blocks", err)
	}
	was, err := s.cfg.Store.Get(ctx, s.key(kindBlock, id))
	if err != nil && !absent(err) {
		return s.unavailable("blocks", err)
	}
	doc, err := s.doc(kindBlock, id, "", view.Until, rec)
	if err != nil {
		return err
	}
	return s.blockChanged(s.commit(ctx, over(was.Rev, doc)))
}

// blockChanged makes a lost race one that again repeats.
func (s *Server) blockChanged(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrExists):
		return s.unavailable("blocks", errors.Join(store.ErrConflict, err))
	default:
		return s.unavailable("blocks", err)
	}
}

func (s *Server) sealBlock(ctx context.Context, key [32]byte, id string, text blockText) (string, error) {
	plain, err := json.Marshal(text)
	if err != nil {
		return "", err
	}
	box, data, err := s.blockBox(key, id)
	if err != nil {
		return "", err
	}
	return box.Seal(ctx, plain, data...)
}

// adminUnblock takes a block back. What has ended stays so.
func (s *Server) adminUnblock(ctx context.Context, r *http.Request) (any, error) {
	var in struct {
		Who string `json:"who"`
	}
	if err := readAdmin(r, &in); err != nil {
		return nil, err
	}
	b, err := parseBlockable(in.Who)
	if err != nil {
		return nil, err
	}
	var view blockView
	if err := s.again(func() (err error) {
		view, err = s.deleteBlock(ctx, b)
		return err
	}); err != nil {
		return nil, err
	}
	s.observeBlock(ctx, b, event.Block{Lifted: true})
	return view, nil
}

func (s *Server) deleteBlock(ctx context.Context, b blockable) (blockView, error) {
	_, key, err := s.cfg.SubjectKeys.Current(ctx)
	if err != nil {
		return blockView{}, s.unavailable("subject key", err)
	}
	doc, err := s.cfg.Store.Get(ctx, s.key(kindBlock, blockID(key, b)))
	if absent(err) {
		return blockView{}, &oauth.Error{
			Code: oauth.CodeNotFound, Status: http.StatusNotFound,
			Description: "this is not blocked; see caddy uma blocks",
		}
	}
	if err != nil {
		return blockView{}, s.unavailable("blocks", err)
	}
	view, err := s.viewBlock(ctx, key, doc)
	if err != nil {
		return view, err
	}
	if err := s.commit(ctx, store.Delete(doc.Key, doc.Rev)); err != nil {
		return view, s.unavailable("blocks", err)
	}
	return view, nil
}

func (s *Server) adminBlocks(ctx context.Context, r *http.Request) (any, error) {
	n, err := pageSize(r)
	if err != nil {
		return nil, err
	}
	docs, err := s.cfg.Store.List(ctx, s.tenant, kindBlock, "", r.URL.Query().Get("after"), n)
	if err != nil {
		return nil, s.unavailable("blocks", err)
	}
	_, key, err := s.cfg.SubjectKeys.Current(ctx)
	if err != nil {
		return nil, s.unavailable("subject key", err)
	}
	page := blockPage{Blocks: []blockView{}}
	for _, doc := range docs {
		view, err := s.viewBlock(ctx, key, doc)
		if err != nil {
			return nil, err
		}
		page.Blocks = append(page.Blocks, view)
	}
	if len(docs) == n {
		page.Next = docs[n-1].ID
	}
	return page, nil
}

// viewBlock: a block whose text cannot be read is in force all the same, and is
// shown without.
func (s *Server) viewBlock(ctx context.Context, key [32]byte, doc store.Doc) (blockView, error) {
	rec, err := decodeRecord[blockRecord](doc)
	if err != nil {
		return blockView{}, s.unavailable("blocks", err)
	}
	view := blockView{Kind: rec.Kind, Since: timeOf(rec.At), Until: timeOf(rec.Until)}
	box, data, err := s.blockBox(key, doc.ID)
	if err != nil {
		return view, s.unavailable("blocks", err)
	}
	plain, err := box.Open(ctx, rec.Sealed, data...)
	if errors.Is(err, seal.ErrOpen) {
		return view, nil
	}
	var text blockText
	if err == nil {
		err = json.Unmarshal(plain, &text)
	}
	if err != nil {
		return view, s.unavailable("blocks", err)
	}
	view.Who, view.Reason = text.Who, text.Reason
	return view, nil
}

// observeBlock completes an event with what it is about: an address stands in
// Person alone.
func (s *Server) observeBlock(ctx context.Context, b blockable, e event.Block) {
	e.Issuer, e.Kind = s.cfg.Issuer, string(b.kind)
	switch b.kind {
	case blockAddress:
		e.Person.Email = b.value
	case blockDomain:
		e.Domain = b.value
	case blockIssuer:
		e.Person.Issuer = b.value
	}
	s.cfg.Observe(ctx, e)
}
