package uma

import (
	"strconv"
	"strings"
	"time"
)

// listID names a status list: that of the RPTs of one hour, and for how many hours
// after it the list is kept. All that is kept of a list ends at one moment, which the
// name alone tells: a list neither shrinks nor disappears before its RPTs when a
// reload changes their lifetime.
type listID struct {
	Hour int64 `json:"hour"` // since 1970
	Keep int64 `json:"keep"`
}

// Bounds of listID.Keep. The shortest one does not stand in the URI.
const (
	minKeep = 24
	maxKeep = 1 << 20
)

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// listOf is the list of the RPTs that are issued at a time: kept until the last one
// of its hour is dead for every clock.
func (s *Server) listOf(t time.Time) listID {
	life := s.cfg.RPTLifetime + 2*s.cfg.Leeway
	return listID{hourOf(t), max(minKeep, int64((life+time.Hour-1)/time.Hour))}
}

func (id listID) ends() time.Time {
	return time.Unix((id.Hour+1)*3600, 0).Add(time.Duration(id.Keep) * time.Hour)
}

// String is the last segment of the URI.
func (id listID) String() string {
	text := strconv.FormatInt(id.Hour, 10)
	if id.Keep != minKeep {
		text += "-" + strconv.FormatInt(id.Keep, 10)
	}
	return text
}

// parseListID takes one spelling, and no list that has ended or not begun.
func (s *Server) parseListID(text string) (listID, bool) {
	first, second, long := strings.Cut(text, "-")
	id := listID{Keep: minKeep}
	var err error
	if id.Hour, err = strconv.ParseInt(first, 10, 64); err != nil {
		return id, false
	}
	if long {
		if id.Keep, err = strconv.ParseInt(second, 10, 64); err != nil {
			return id, false
		}
	}
	now := s.cfg.Now()
	if id.String() != text || id.Hour < 0 || id.Hour > hourOf(now.Add(s.cfg.Leeway)) || id.Keep < minKeep || id.Keep > maxKeep {
		return id, false
	}
	return id, now.Before(id.ends())
}
