package wrap

import (
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// BenchmarkMentionsExchange: the worst body there can be.
func BenchmarkMentionsExchange(b *testing.B) {
	for name, text := range map[string]string{
		"plain":   strings.Repeat("a", oauth.MaxForm),
		"escapes": strings.Repeat("%25", oauth.MaxForm/3),
		"nested":  "%" + strings.Repeat("25", oauth.MaxForm/2),
		"invalid": strings.Repeat("%C1", oauth.MaxForm/3),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				mentionsExchange(text)
			}
		})
	}
}
