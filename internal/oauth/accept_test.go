package oauth

import (
	"net/http"
	"testing"
)

func TestAccept(t *testing.T) {
	for accept, want := range map[string]float64{
		"": 0, "*/*": 0, "text/*": 0, "text/plain": 0,
		"text/html": 1, "a/b, TEXT/HTML ; q=0.5": 0.5, "text/html;level=1;q=0.25": 0.25, "text/html;Q=1.000": 1,
		"text/html;q=0.2,text/xhtml;q=0.7": 0.7, "text/html;q=0": 0,
		"text/html;q=0.1234": 0, "text/html;q=1.001": 0, "text/html;q=-1": 0, "text/html;q=1e-1": 0, "text/html;q=.5": 0, "text/html;q": 0, "text/html;q=NaN": 0,
	} {
		if got := Accept(http.Header{"Accept": {accept}}, "text/html", "text/xhtml"); got != want {
			t.Errorf("%q: %v, want %v", accept, got, want)
		}
	}
	if got := Accept(http.Header{"Accept": {"a/b;q=0.3", "text/html;q=0.4"}}, "text/html"); got != 0.4 {
		t.Errorf("two fields: %v, want 0.4", got)
	}
}
