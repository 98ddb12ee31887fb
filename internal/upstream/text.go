package upstream

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits, in bytes, of what the vendor's texts may take up in ours.
const (
	maxName    = 100
	maxID      = 128
	maxMessage = 2000
)

// clip is at most limit bytes of s, whole characters, without what would break a
// line of a log.
func clip(s string, limit int) string {
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit]
	}
	s = strings.ToValidUTF8(s, "?")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s))
}
