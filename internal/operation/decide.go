package operation

import (
	"math/rand/v2"
	"time"

	"github.com/agentsvc/agentsvc/internal/upstream"
)

// maxBackoff is the longest pause between two tries.
const maxBackoff = time.Minute

// backoff is how long to wait after the nth try: doubling, and spread over half of
// itself so that many do not come back at once.
func (e *Engine) backoff(n int) time.Duration {
	d := e.Backoff
	for range min(n-1, 16) {
		if d *= 2; d >= maxBackoff {
			d = maxBackoff
			break
		}
	}
	return d/2 + rand.N(d/2+1) //nolint:gosec // jitter needs no secrecy
}

// next is what becomes of an operation after the vendor did not simply say yes.
type next int

const (
	fail          next = iota // the vendor said no
	succeed                   // what was asked for is so
	retry                     // certainly without effect: again later
	lookAgain                 // unknown: reconcile later
	lookNow                   // refused for something that is there: ours, if looking finds it
	giveUpUnknown             // unknown, and looked at often enough
)

func (n next) String() string {
	return [...]string{"fail", "succeed", "retry", "look again", "look now", "give up"}[n]
}

// decision is all that decides.
type decision struct {
	outcome   upstream.Outcome
	throttled bool
	status    int
	// deletion: the change is a DELETE.
	deletion bool
	// resent: the change was sent before, with an unknown outcome.
	resent bool
	// find: the method's strategy looks for the effect.
	find bool
	// exhausted: it was tried often enough. insists: not for long enough, if the vendor may
	// have seen it.
	exhausted, insists bool
}

// decide is pure, so that every case can be tested.
func decide(d decision) next {
	switch d.outcome {
	case upstream.Refused:
		switch {
		case d.throttled && d.resent:
			// This sending had no effect, the one before may have.
			return lookOrGiveUp(d)
		case d.throttled && !d.exhausted:
			return retry
		case d.status == 401 && d.resent:
			return lookOrGiveUp(d)
		case d.status == 401 && !d.exhausted:
			return retry // our token, not the change, was refused: it may be renewed by then
		case d.status == 404 && d.resent && d.deletion:
			return succeed // the first sending did it
		case d.status == 409 && d.resent && d.find:
			// "It is there already", by the first sending most likely, or something older is in
			// its way. Finding will tell, however often this was tried.
			return lookNow
		}
		return fail
	case upstream.NotSent:
		if d.resent {
			return lookOrGiveUp(d)
		}
		if d.exhausted {
			return fail
		}
		return retry
	case upstream.Unknown:
	}
	return lookOrGiveUp(d)
}

func lookOrGiveUp(d decision) next {
	if d.exhausted && !d.insists {
		return giveUpUnknown
	}
	return lookAgain
}

func (a *attempt) exhausted() bool { return int(a.row.Claims) >= a.engine.MaxTries }

// insists says that the change was sent too short a time ago to be given up, however often
// it was tried.
func (a *attempt) insists() bool {
	return a.row.SentAt == nil || a.claimed().Sub(*a.row.SentAt) < a.engine.Insist
}

// claimed is when this worker took the operation up, by the database's clock.
func (a *attempt) claimed() time.Time {
	if a.row.LeaseExpiresAt == nil {
		return time.Time{}
	}
	return a.row.LeaseExpiresAt.Add(-a.engine.Lease)
}
