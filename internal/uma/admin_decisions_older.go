package uma

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Decisions that were recorded before their ids told the time are found by the minute
// in which they were made, one minute after the other. They come behind all others,
// until the last of them has expired.

// maxMinutes is how many minutes are looked at for one page: without decisions a day.
const maxMinutes = 24 * 60

// minuteOf is what they are found by.
func minuteOf(t time.Time) string { return strconv.FormatInt(t.Unix()/60, 10) }

// addOlder adds those that fit onto the page, if there are any at all.
func (s *Server) addOlder(ctx context.Context, page *decisionPage, f *decisionFilter) error {
	minute, after, err := s.decisionsFrom(f.After)
	if err != nil {
		return err
	}
	one, err := s.cfg.Store.List(ctx, s.tenant, kindDecision, "", "", 1)
	if err != nil {
		return s.unavailable(kindDecision, err)
	}
	if len(one) == 0 {
		return nil
	}
	first := f.Since.Unix() / 60
	for seen := 0; minute >= first; seen, minute, after = seen+1, minute-1, "" {
		left := f.Limit - len(page.Decisions)
		if seen == maxMinutes || left == 0 || page.looked >= maxLooked {
			page.Next = strconv.FormatInt(minute, 10) + "."
			return nil
		}
		next, err := s.addMinute(ctx, page, f, minute, ask{After: after, Limit: left})
		if err != nil {
			return err
		}
		if next != "" {
			page.Next = strconv.FormatInt(minute, 10) + "." + next
			return nil
		}
	}
	return nil
}

// decisionsFrom reads where the page begins: in which minute, behind which id. The
// clock of the node that decided may be ahead.
func (s *Server) decisionsFrom(after string) (minute int64, id string, err error) {
	last := s.cfg.Now().Add(s.cfg.Leeway).Unix() / 60
	if after == "" {
		return last, "", nil
	}
	text, id, found := strings.Cut(after, ".")
	minute, err = strconv.ParseInt(text, 10, 64)
	if err != nil || !found || minute > last {
		return 0, "", badAfter()
	}
	return minute, id, nil
}

// addMinute adds the decisions of a minute that fit.
func (s *Server) addMinute(ctx context.Context, page *decisionPage, f *decisionFilter, minute int64, a ask) (next string, err error) {
	return s.walk(ctx, kindDecision, strconv.FormatInt(minute, 10), a, func(doc store.Doc) (bool, error) {
		return s.addDecision(ctx, page, f, doc.ID, doc)
	})
}
