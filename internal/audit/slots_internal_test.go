package audit

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// However many services a team makes, and whatever they leave lying, auditors export.
func TestTeamsCannotTakeAllExports(t *testing.T) {
	t.Parallel()
	s := newSlots()
	for i := range maxExports - keptExports {
		if _, err := s.take(t.Context(), fmt.Sprint("bot-", i), false); err != nil {
			t.Fatal(err)
		}
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := s.take(gone, "one more", false); !errors.Is(err, context.Canceled) {
		t.Fatalf("a team has one export too many: %v", err)
	}
	release, err := s.take(t.Context(), "auditor", true)
	if err != nil {
		t.Fatal(err)
	}
	release()
	for i := range maxExports - keptExports {
		if n := s.of[fmt.Sprint("bot-", i)]; n != 1 {
			t.Errorf("bot-%d has %d exports", i, n)
		}
	}
	if len(s.of) != maxExports-keptExports || len(s.kept) != 0 {
		t.Errorf("who has left is not forgotten: %v", s.of)
	}
}
