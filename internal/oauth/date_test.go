package oauth_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func TestAnsweredAt(t *testing.T) {
	made := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	date := made.Format(http.TimeFormat)
	for _, tc := range []struct {
		date, age string
		want      time.Time
	}{
		{date, "", made},
		{date, "0", made},
		{date, "3600", made.Add(time.Hour)},
		{date, "-3600", made},
		{date, "an hour", made},
		{date, "99999999999999999999", made},
		{date, "9999999999", made},
		{"", "3600", time.Time{}},
		{"yesterday", "", time.Time{}},
	} {
		h := http.Header{"Date": {tc.date}, "Age": {tc.age}}
		if got := oauth.AnsweredAt(h); !got.Equal(tc.want) {
			t.Errorf("Date %q, Age %q: %v, want %v", tc.date, tc.age, got, tc.want)
		}
	}
	if got := oauth.AnsweredAt(nil); !got.IsZero() {
		t.Error(got)
	}
}
