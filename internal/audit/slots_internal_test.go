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
	for _, n := range []int{2, maxExports} {
		t.Run(fmt.Sprint(n, " at once"), func(t *testing.T) {
			t.Parallel()
			auditorsExport(t, n, newSlots(n))
		})
	}
}

func auditorsExport(t *testing.T, n int, s *slots) {
	t.Helper()
	ofTeams := map[int]int{2: 1, maxExports: 4}[n]
	for i := range ofTeams {
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
	for i := range ofTeams {
		if n := s.of[fmt.Sprint("bot-", i)]; n != 1 {
			t.Errorf("bot-%d has %d exports", i, n)
		}
	}
	if len(s.of) != ofTeams || len(s.kept) != 0 {
		t.Errorf("who has left is not forgotten: %v", s.of)
	}
}
