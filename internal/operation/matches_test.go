package operation

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/audit"
)

func TestVersionsMatch(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	at := time.Date(2026, 3, 1, 10, 0, 0, 123456000, time.UTC) // as the database keeps it
	for name, tc := range map[string]struct {
		want, hash string
		differ     bool
	}{
		"the hash":              {want: "v1", hash: "v1"},
		"another hash":          {want: "v0", hash: "v1", differ: true},
		"a time beside a hash":  {want: "2026-03-01T10:00:00.123456Z", hash: "v1", differ: true},
		"the time":              {want: "2026-03-01T10:00:00.123456Z"},
		"the vendor's digits":   {want: "2026-03-01T10:00:00.123456789Z"},
		"no zone but an offset": {want: "2026-03-01T10:00:00.123456+00:00"},
		"another offset":        {want: "2026-03-01T12:00:00.123456+02:00"},
		"another time":          {want: "2026-03-01T10:00:00.123457Z", differ: true},
		"no time":               {want: "yesterday", differ: true},
	} {
		if err := matches(tc.want, tc.hash, at, audit.Ref{Kind: "workspace", UUID: &id}); (err != nil) != tc.differ {
			t.Errorf("%s: %v", name, err)
		}
	}
}
