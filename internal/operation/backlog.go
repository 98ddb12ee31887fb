package operation

import (
	"fmt"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// backlogPause is when a caller whose changes find no room in the queue is told to come back.
const backlogPause = 15 * time.Second

// backlog is how full the queue is: with changes of a team, counted up to its limit, and of
// all teams, counted up to theirs.
type backlog struct {
	team          string
	queued, limit int64
	byAll, most   int64
}

// room says why so many more changes of the team, of which some go to this queue, find no
// room, if they do not.
func (b backlog) room(all, more int64) error {
	switch {
	case b.queued+all > b.limit:
		return full("team:"+b.team, "team %q has %d changes waiting, and %d more are over its limit of %d; come back when some are done",
			b.team, b.queued, all, b.limit)
	case b.byAll+more > b.most:
		return full("queue", "%d changes of all teams are waiting, and %d more are over the limit of %d; come back when some are done",
			b.byAll, more, b.most)
	}
	return nil
}

func full(quota, format string, args ...any) error {
	return &fault.Error{
		Reason: pb.ErrorReason_ERROR_REASON_BACKLOG_FULL, Public: fmt.Sprintf(format, args...), RetryAfter: backlogPause,
		Metadata: map[string]string{"quota": quota},
	}
}
