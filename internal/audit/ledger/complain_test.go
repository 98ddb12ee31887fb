package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestTheSameComplaintIsNotSaidEachSecond(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	to := slog.New(slog.NewTextHandler(&log, nil))
	var c Complaints
	said := func() int { return strings.Count(log.String(), "msg=sealing") }
	say := func(err error, want int) {
		t.Helper()
		before := said()
		if c.Say(t.Context(), to, "sealing", err); said()-before != want {
			t.Errorf("%v is said %d times, want %d", err, said()-before, want)
		}
	}
	away, broken := errors.New("away"), fmt.Errorf("signing: %w", &BrokenError{"changed"})
	say(away, 1)
	say(away, 0)
	say(broken, 1)
	say(broken, 0)
	say(away, 1)
	say(nil, 0)
	say(away, 1) // it was well in between
	for range repeatAfter - 1 {
		say(away, 0)
	}
	say(away, 1)
	if strings.Count(log.String(), "level=ERROR") != 1 {
		t.Errorf("the broken history is no error, or all is: %s", log.String())
	}
}
