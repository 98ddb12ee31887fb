package genaisim

import (
	"strconv"
	"testing"
	"time"
)

func TestMinuteLimitSlides(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{RatePerMinute: 3, RatePerHour: 100, Now: now.Now})
	s.do(200, "GET", agentsPath, "")
	now.advance(20 * time.Second)
	s.do(200, "GET", agentsPath, "")
	s.do(200, "GET", agentsPath, "")

	refused := s.do(429, "GET", agentsPath, "")

	equal(t, "id", text(refused.body, "id"), "too_many_requests")
	equal(t, "retry-after", refused.header.Get("retry-after"), "40")
	equal(t, "limit", refused.header.Get("ratelimit-limit"), "100")
	equal(t, "remaining", refused.header.Get("ratelimit-remaining"), "97")
	equal(t, "reset", refused.header.Get("ratelimit-reset"), epoch(now.Now().Add(time.Hour-20*time.Second)))
	now.advance(39 * time.Second)
	s.do(429, "GET", agentsPath, "")
	now.advance(time.Second)
	fine := s.do(200, "GET", agentsPath, "")
	equal(t, "retry-after of an answer", fine.header.Get("retry-after"), "")
	// One timer has run out, not all of them.
	again := s.do(429, "GET", agentsPath, "")
	equal(t, "retry-after", again.header.Get("retry-after"), "20")
}

func TestHourLimitSlides(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{RatePerMinute: 3, RatePerHour: 4, Now: now.Now})
	first := now.Now()
	for i := range 4 {
		got := s.do(200, "GET", agentsPath, "")
		equal(t, "remaining", got.header.Get("ratelimit-remaining"), strconv.Itoa(3-i))
		equal(t, "reset", got.header.Get("ratelimit-reset"), epoch(first.Add(time.Hour)))
		equal(t, "remaining logged", s.last().RateLimitRemaining, 3-i)
		now.advance(10 * time.Minute)
	}

	refused := s.do(429, "GET", agentsPath, "")

	equal(t, "retry-after", refused.header.Get("retry-after"), "")
	equal(t, "remaining", refused.header.Get("ratelimit-remaining"), "0")
	now.advance(20*time.Minute - time.Nanosecond)
	s.do(429, "GET", agentsPath, "")
	now.advance(time.Nanosecond)
	got := s.do(200, "GET", agentsPath, "")
	equal(t, "reset", got.header.Get("ratelimit-reset"), epoch(first.Add(70*time.Minute)))
	s.do(429, "GET", agentsPath, "")
	now.advance(2 * time.Hour)
	got = s.do(200, "GET", agentsPath, "")
	equal(t, "remaining after a pause", got.header.Get("ratelimit-remaining"), "3")
}

func TestWhatCountsAgainstTheLimits(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cfg       Config
		remaining string // after two requests and two refusals
		refused   string // what a refusal says is remaining
	}{
		"refusals do not":                  {Config{RatePerMinute: 2, RatePerHour: 100}, "97", "98"},
		"refusals do if so configured":     {Config{RatePerMinute: 2, RatePerHour: 100, Count429: true}, "95", "97"},
		"a refusal may say that 0 is left": {Config{RatePerMinute: 2, RatePerHour: 100, BurstZeroRemaining: true}, "97", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := newClock()
			tc.cfg.Now = now.Now
			s := start(t, tc.cfg)
			s.do(404, "GET", agentsPath+"/"+unknownID, "") // errors count
			s.do(200, "GET", agentsPath, "")
			s.do(200, "GET", "/_sim/state", "") // the control API does not
			equal(t, "remaining of the refusal", s.do(429, "GET", agentsPath, "").header.Get("ratelimit-remaining"), tc.refused)
			s.do(429, "POST", agentsPath, `{"name":"a"}`)
			s.wantEffect(NoEffect)
			now.advance(time.Minute)
			equal(t, "remaining", s.do(200, "GET", agentsPath, "").header.Get("ratelimit-remaining"), tc.remaining)
			equal(t, "agents", len(objects(s.do(200, "GET", "/_sim/state", "").body, "agents")), 0)
		})
	}
}

func TestWindowsCanBeScaled(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{RatePerMinute: 1, RatePerHour: 2, RateMinuteWindow: time.Second, RateHourWindow: time.Minute, Now: now.Now})
	s.do(200, "GET", agentsPath, "")
	equal(t, "retry-after", s.do(429, "GET", agentsPath, "").header.Get("retry-after"), "1")
	now.advance(time.Second)
	s.do(200, "GET", agentsPath, "")
	now.advance(58 * time.Second)
	s.do(429, "GET", agentsPath, "")
	now.advance(time.Second)
	s.do(200, "GET", agentsPath, "")
}

func TestLimitsCanBeLeftOut(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	for range 300 {
		got := s.do(200, "GET", "/v2/gen-ai/regions", "")
		if got.header.Get("ratelimit-limit") != "" {
			t.Fatal("there is a ratelimit header without a limit")
		}
	}
	equal(t, "remaining logged", s.last().RateLimitRemaining, -1)

	now := newClock()
	s = start(t, Config{RatePerMinute: 1, Now: now.Now})
	s.do(200, "GET", agentsPath, "")
	equal(t, "retry-after", s.do(429, "GET", agentsPath, "").header.Get("retry-after"), "60")
	now.advance(time.Minute)
	s.do(200, "GET", agentsPath, "")
}

// TestRateLogAgainstItsDefinition compares the log with a plain count over all
// requests there have been.
func TestRateLogAgainstItsDefinition(t *testing.T) {
	t.Parallel()
	log := &rateLog{perMinute: 7, perHour: 20, minute: 10 * time.Second, hour: time.Minute}
	var admitted []time.Time
	now := newClock().Now()
	random := uint32(1)
	for range 5000 {
		random = random*1664525 + 1013904223
		now = now.Add(time.Duration(random>>16%4000) * time.Millisecond)
		within := func(window time.Duration) (n int) {
			for _, at := range admitted {
				if now.Sub(at) < window {
					n++
				}
			}
			return n
		}
		want := within(log.minute) < 7 && within(log.hour) < 20
		state, ok := log.admit(now)
		if ok != want {
			t.Fatalf("admitted %v, want %v, after %d requests", ok, want, len(admitted))
		}
		if ok {
			admitted = append(admitted, now)
		}
		if remaining := 20 - within(log.hour); state.remaining != remaining {
			t.Fatalf("remaining %d, want %d", state.remaining, remaining)
		}
	}
	if len(admitted) == 5000 || len(admitted) < 500 {
		t.Errorf("%d of 5000 admitted: the test tests too little", len(admitted))
	}
}

func epoch(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
