package listing_test

import (
	"testing"
	"time"

	"github.com/agentsvc/agentsvc/internal/listing"
)

func TestTheSpanOfAFilter(t *testing.T) {
	t.Parallel()
	schema := &listing.Schema{
		Fields: []listing.Field{
			{Name: "time", Type: listing.Time, SQL: "at"}, {Name: "seen", Type: listing.Time, SQL: "seen"}, {Name: "name", Type: listing.Text, SQL: "name"},
		},
		Default: []listing.Key{{Name: "time", SQL: "at", Type: "timestamptz", Desc: true}, {Name: "name", SQL: "name", Type: "text"}},
	}
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	none := time.Time{}
	for filter, want := range map[string][2]time.Time{
		``: {none, none},
		`name = "a" AND time >= "2026-01-02T00:00:00Z" AND time < "2026-01-05T00:00:00Z"`:                       {day(2), day(5)},
		`time > "2026-01-02T00:00:00Z" AND (time <= "2026-01-05T00:00:00Z" AND time <= "2026-01-04T00:00:00Z")`: {day(2), day(4)},
		`time = "2026-01-02T01:00:00+01:00"`:                                                                        {day(2), day(2)},
		`time > "2026-01-02T00:00:00Z" AND time > "2026-01-03T00:00:00Z"`:                                           {day(3), none},
		`time > "2026-01-02T00:00:00Z" OR name = "a"`:                                                               {none, none},
		`name = "a" AND (time > "2026-01-02T00:00:00Z" OR name = "b") AND time < "2026-01-05T00:00:00Z"`:            {none, day(5)},
		`NOT time < "2026-01-02T00:00:00Z"`:                                                                         {none, none},
		`time != "2026-01-02T00:00:00Z"`:                                                                            {none, none},
		`seen > "2026-01-02T00:00:00Z" AND name < "2026-01-05T00:00:00Z"`:                                           {none, none},
		`time:* AND time > "2026-01-02T00:00:00Z"`:                                                                  {day(2), none},
		`time > "2026-01-06T00:00:00Z" AND time < "2026-01-02T00:00:00Z"` /* which holds of none */ :                {day(6), day(2)},
		`(time > "2026-01-02T00:00:00Z") AND NOT (time < "2026-01-03T00:00:00Z" AND time < "2026-01-05T00:00:00Z")`: {day(2), none},
	} {
		parsed, err := schema.Filter(filter)
		if err != nil {
			t.Fatalf("%s: %v", filter, err)
		}
		span := parsed.Span()
		for name, bound := range map[string]struct {
			got  *time.Time
			want time.Time
		}{"from": {span.From, want[0]}, "until": {span.Until, want[1]}} {
			if (bound.got == nil) != bound.want.IsZero() {
				t.Errorf("%s: %s %v, want %v", filter, name, bound.got, bound.want)
			} else if bound.got != nil && bound.got.Sub(bound.want).Abs() > time.Second {
				t.Errorf("%s: %s %v, want about %v", filter, name, bound.got, bound.want)
			}
		}
		if span.From != nil && span.From.After(want[0]) || span.Until != nil && span.Until.Before(want[1]) {
			t.Errorf("%s: %v to %v leaves something out", filter, span.From, span.Until)
		}
	}
}
