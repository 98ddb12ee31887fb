package genaisim

import (
	"net/http"
	"strconv"
	"time"
)

// rateLog is the vendor's sliding log: every counted request has timers of its
// own, and a request is admitted while fewer than perMinute and perHour of
// them are running. It is owned by the server and guarded by its mutex.
type rateLog struct {
	perMinute, perHour int // 0: unlimited
	minute, hour       time.Duration
	countRefused       bool
	burstZero          bool

	at []time.Time // counted requests, oldest first, those of the hour
	// recent is the index in at of the oldest request of the last minute.
	recent int
}

// rateState is what the answer to one request says about the limits.
type rateState struct {
	limited   bool // there is an hourly limit to tell about
	limit     int
	remaining int
	reset     time.Time     // when the oldest request of the hour expires
	retry     time.Duration // after a refusal by the minute's limit; else zero
}

// admit decides on a request at now and counts it. The order of now must not
// decrease between calls.
func (l *rateLog) admit(now time.Time) (rateState, bool) {
	if l.perMinute <= 0 && l.perHour <= 0 {
		return rateState{}, true
	}
	l.expire(now)
	byHour := l.perHour > 0 && len(l.at) >= l.perHour
	byMinute := l.perMinute > 0 && len(l.at)-l.recent >= l.perMinute
	ok := !byHour && !byMinute
	var retry time.Duration
	if byMinute && !byHour {
		// The request that must expire first is the one that makes room.
		retry = l.at[len(l.at)-l.perMinute].Add(l.minute).Sub(now)
	}
	if ok || l.countRefused {
		l.at = append(l.at, now)
	}
	state := l.state(now)
	state.retry = retry
	if byMinute && l.burstZero {
		state.remaining = 0
	}
	return state, ok
}

// state tells about the limits without counting anything.
func (l *rateLog) state(now time.Time) rateState {
	if l.perHour <= 0 {
		return rateState{}
	}
	l.expire(now)
	state := rateState{limited: true, limit: l.perHour, remaining: max(0, l.perHour-len(l.at)), reset: now.Add(l.hour)}
	if len(l.at) > 0 {
		state.reset = l.at[0].Add(l.hour)
	}
	return state
}

// expire drops the requests whose timers have run out.
func (l *rateLog) expire(now time.Time) {
	keep := l.hour
	if l.perHour <= 0 {
		keep = l.minute
	}
	gone := 0
	for gone < len(l.at) && now.Sub(l.at[gone]) >= keep {
		gone++
	}
	// The slice moves on; append copies what is left when it runs out of room.
	l.at = l.at[gone:]
	l.recent = max(0, l.recent-gone)
	for l.recent < len(l.at) && now.Sub(l.at[l.recent]) >= l.minute {
		l.recent++
	}
}

// headers writes what the vendor writes on every answer. The reset is rounded
// up, so that a client that waits for it does not come too early.
func (r rateState) headers(h http.Header) {
	if r.limited {
		h.Set("ratelimit-limit", strconv.Itoa(r.limit))
		h.Set("ratelimit-remaining", strconv.Itoa(r.remaining))
		h.Set("ratelimit-reset", strconv.FormatInt(r.reset.Add(time.Second-1).Unix(), 10))
	}
	if r.retry > 0 {
		h.Set("retry-after", strconv.FormatInt(int64((r.retry+time.Second-1)/time.Second), 10))
	}
}
