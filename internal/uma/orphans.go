package uma

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// orphans counts live grants by the resource server that the configuration does not
// know (any more). Nothing ends them: the resource server may come back, or be served
// by another configuration. Where it checks RPTs by itself they open what they opened.
type orphans map[string]int

// maxOrphans is how many resource servers are named in the log.
const maxOrphans = 10

// warn tells about them, most grants first, and how to end them.
func (o orphans) warn(log *zap.Logger, issuer string) {
	names := slices.SortedFunc(maps.Keys(o), func(a, b string) int {
		return cmp.Or(cmp.Compare(o[b], o[a]), strings.Compare(a, b))
	})
	for _, name := range names[:min(maxOrphans, len(names))] {
		log.Warn("live grants belong to a resource server that is not in the configuration; they live until they expire, or until the command ends them",
			zap.String("issuer", issuer), zap.String("resource_server", name), zap.Int("grants", o[name]),
			zap.String("command", "caddy uma grants revoke --issuer "+shellWord(issuer)+" --resource-server "+shellWord(name)))
	}
	if len(names) <= maxOrphans {
		return
	}
	more := 0
	for _, name := range names[maxOrphans:] {
		more += o[name]
	}
	log.Warn("and so do live grants of further resource servers", zap.String("issuer", issuer),
		zap.Int("resource_servers", len(names)-maxOrphans), zap.Int("grants", more))
}

// shellWord writes a text so that a shell takes it for one word.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.:/@%+,=", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
