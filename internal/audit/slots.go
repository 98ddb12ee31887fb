package audit

import (
	"context"
	"sync"

	"github.com/agentsvc/agentsvc/internal/fault"
)

const (
	// maxExports is how many exports one process makes at once, unless it is to make fewer: each
	// holds a connection to the database and a snapshot of it.
	maxExports = 6
	// keptOf is the share of them, one in so many, for those who see everything: teams, which make as
	// many services as they like, cannot keep auditors out.
	keptOf = 3
	// maxExportsOf is how many of them one caller has.
	maxExportsOf = 2
)

// slots are the exports that may be under way.
type slots struct {
	free, kept chan struct{}

	mu sync.Mutex
	of map[string]int
}

// newSlots are so many, of which there are two at the least.
func newSlots(exports int) *slots {
	kept := max(exports/keptOf, 1)
	return &slots{free: make(chan struct{}, exports-kept), kept: make(chan struct{}, kept), of: map[string]int{}}
}

// take waits for a slot, which release gives back.
func (s *slots) take(ctx context.Context, who string, seesAll bool) (release func(), err error) {
	s.mu.Lock()
	if s.of[who] >= maxExportsOf {
		s.mu.Unlock()
		return nil, fault.Precondition("you have %d exports under way; wait until one has ended", maxExportsOf)
	}
	s.of[who]++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.of[who]--; s.of[who] == 0 {
			delete(s.of, who)
		}
	}
	kept := s.kept
	if !seesAll {
		kept = nil // never ready
	}
	select {
	case s.free <- struct{}{}:
		return func() { <-s.free; leave() }, nil
	case kept <- struct{}{}:
		return func() { <-kept; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
