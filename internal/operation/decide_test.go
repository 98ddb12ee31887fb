package operation

import (
	"testing"
	"time"

	"github.com/agentsvc/agentsvc/internal/upstream"
)

func TestWhatBecomesOfAnOperation(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		given decision
		want  next
	}{
		"a refusal":                              {decision{outcome: upstream.Refused, status: 422}, fail},
		"a refusal of a change sent again":       {decision{outcome: upstream.Refused, status: 422, resent: true}, fail},
		"throttled":                              {decision{outcome: upstream.Refused, status: 429, throttled: true}, retry},
		"throttled too often":                    {decision{outcome: upstream.Refused, status: 429, throttled: true, exhausted: true}, fail},
		"throttled when sent again":              {decision{outcome: upstream.Refused, status: 429, throttled: true, resent: true}, lookAgain},
		"gone when deleted":                      {decision{outcome: upstream.Refused, status: 404, deletion: true}, fail},
		"gone when deleted again":                {decision{outcome: upstream.Refused, status: 404, deletion: true, resent: true}, succeed},
		"missing when updated again":             {decision{outcome: upstream.Refused, status: 404, resent: true}, fail},
		"there already":                          {decision{outcome: upstream.Refused, status: 409, find: true}, fail},
		"there already when sent again":          {decision{outcome: upstream.Refused, status: 409, find: true, resent: true}, lookNow},
		"there already when sent too often":      {decision{outcome: upstream.Refused, status: 409, find: true, resent: true, exhausted: true}, lookNow},
		"conflict of a resent idempotent change": {decision{outcome: upstream.Refused, status: 409, resent: true}, fail},
		"token refused":                          {decision{outcome: upstream.Refused, status: 401}, retry},
		"token refused too often":                {decision{outcome: upstream.Refused, status: 401, exhausted: true}, fail},
		"token refused when sent again":          {decision{outcome: upstream.Refused, status: 401, resent: true}, lookAgain},
		"not sent":                               {decision{outcome: upstream.NotSent}, retry},
		"not sent too often":                     {decision{outcome: upstream.NotSent, exhausted: true}, fail},
		"not sent again":                         {decision{outcome: upstream.NotSent, resent: true}, lookAgain},
		"unknown":                                {decision{outcome: upstream.Unknown, status: 500}, lookAgain},
		"unknown too often":                      {decision{outcome: upstream.Unknown, exhausted: true}, giveUpUnknown},
		"not sent again, too often":              {decision{outcome: upstream.NotSent, resent: true, exhausted: true}, giveUpUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := decide(tc.given); got != tc.want {
				t.Errorf("decide(%+v) = %s, want %s", tc.given, got, tc.want)
			}
		})
	}
}

func TestBackoffGrowsAndStaysBounded(t *testing.T) {
	t.Parallel()
	e := &Engine{Config: Config{}.withDefaults()}
	for n := 1; n <= 100; n++ {
		d := e.backoff(n)
		full := min(e.Backoff<<min(n-1, 20), maxBackoff)
		if d < full/2 || d > full {
			t.Errorf("after try %d: %s, want %s to %s", n, d, full/2, full)
		}
	}
	if e.backoff(1) > time.Second {
		t.Error("the first retry is late")
	}
}
