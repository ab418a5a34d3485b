package jose

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Audience is a claim aud: a string or an array of strings (RFC 7519 §4.1.3).
type Audience []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *Audience) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil && string(data) != "null" {
		*a = Audience{one}
		return nil
	}
	var many []*string
	if err := json.Unmarshal(data, &many); err != nil || many == nil {
		return errors.New("aud is neither a string nor an array of strings")
	}
	*a = make(Audience, 0, len(many))
	for _, s := range many {
		if s == nil {
			return errors.New("aud holds null")
		}
		*a = append(*a, *s)
	}
	return nil
}

// NumericDate is seconds since the epoch; fractions are cut off (RFC 7519 §2).
type NumericDate int64

// maxDate is the end of the year 9999.
const maxDate = 253402300799

// Time gives the point in time.
func (d NumericDate) Time() time.Time { return time.Unix(int64(d), 0) }

// UnmarshalJSON implements json.Unmarshaler. It accepts digits with or without a
// fraction alone: no string, no null, no sign, no exponent.
func (d *NumericDate) UnmarshalJSON(data []byte) error {
	text := string(data)
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.Trim(text, "0123456789.") != "" || f > maxDate {
		return errors.New("not a NumericDate")
	}
	*d = NumericDate(f)
	return nil
}
