package genaisim

import "time"

// stage is how far an evaluation has come. With a prefix for what is evaluated
// it is a status.
type stage string

const (
	stageQueued     stage = "QUEUED"
	stageRunning    stage = "RUNNING_DATASET"
	stageJudging    stage = "EVALUATING_RESULTS"
	stageCancelling stage = "CANCELLING"
	stageCancelled  stage = "CANCELLED"
	stageSuccessful stage = "SUCCESSFUL"
	stagePartial    stage = "PARTIALLY_SUCCESSFUL"
	stageFailed     stage = "FAILED"
)

// stageShare is the part of its time that an evaluation spends in each of the
// first three stages, one in so many.
const stageShare = 3

// longestTeardown is the most time that cancelling takes.
const longestTeardown = time.Second

// course is how an evaluation goes. It is computed from the time that has
// passed, so that nothing has to run meanwhile.
type course struct {
	queuedAt    time.Time
	takes       time.Duration
	broken      bool      // it fails when all rows of the dataset should have been answered
	cancelledAt time.Time // zero if it was not
}

func (st *state) newCourse(d *dataset, now time.Time) course {
	return course{queuedAt: now, takes: st.evaluation.time, broken: d.broken}
}

func (e *course) startsAt() time.Time { return e.queuedAt.Add(e.takes / stageShare) }
func (e *course) judgesAt() time.Time { return e.queuedAt.Add(2 * e.takes / stageShare) }

// endsAt is when the evaluation ends, in whatever way.
func (e *course) endsAt() time.Time {
	switch {
	case e.cancelled():
		return e.cancelledAt.Add(min(e.takes/10, longestTeardown))
	case e.broken:
		return e.judgesAt()
	default:
		return e.queuedAt.Add(e.takes)
	}
}

func (e *course) cancelled() bool { return !e.cancelledAt.IsZero() }

func (e *course) started(now time.Time) bool  { return !e.moment(now).Before(e.startsAt()) }
func (e *course) finished(now time.Time) bool { return !now.Before(e.endsAt()) }

// succeeded says whether there are results.
func (e *course) succeeded(now time.Time) bool { return e.stage(now) == stageSuccessful }

// moment is the time that tells how far an evaluation has come at now: once
// cancelled it stays where it was.
func (e *course) moment(now time.Time) time.Time {
	if e.cancelled() {
		return e.cancelledAt
	}
	return now
}

func (e *course) stage(now time.Time) stage {
	ended := e.finished(now)
	switch {
	case e.cancelled() && ended:
		return stageCancelled
	case e.cancelled():
		return stageCancelling
	case ended && e.broken:
		return stageFailed
	case ended:
		return stageSuccessful
	case !now.Before(e.judgesAt()):
		return stageJudging
	case e.started(now):
		return stageRunning
	default:
		return stageQueued
	}
}

// problem is why an evaluation has failed, empty if it has not.
func (e *course) problem(now time.Time, d *dataset) string {
	if e.stage(now) != stageFailed {
		return ""
	}
	return "the file " + d.file + " of dataset " + d.name + " could not be read"
}

// answered is how many of some rows have been answered, judged how many of
// these have been judged.
func (e *course) answered(rows int, now time.Time) int64 {
	if e.broken {
		return 0
	}
	return portion(int64(rows), e.moment(now).Sub(e.startsAt()), e.judgesAt().Sub(e.startsAt()))
}

func (e *course) judged(rows int, now time.Time) int64 {
	if e.broken {
		return 0
	}
	end := e.queuedAt.Add(e.takes)
	return portion(int64(rows), e.moment(now).Sub(e.judgesAt()), end.Sub(e.judgesAt()))
}
