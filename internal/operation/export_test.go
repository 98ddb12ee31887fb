package operation

import (
	"context"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// EndStrandedOnce is what a worker does now and then.
func (e *Engine) EndStrandedOnce(ctx context.Context) error { return e.endStrandedOnce(ctx) }

// FailTwice has two takings up of an operation fail in one commit.
func (e *Engine) FailTwice(ctx context.Context, first, second dbsql.Operation) (ofFirst, ofSecond error) {
	failing := func(row dbsql.Operation, text string) *settlement {
		a := &attempt{job: job{row: row}, engine: e, method: e.api.ByName(row.Method)}
		s := &settlement{attempt: a, row: row, done: make(chan error, 1)}
		s.end.failure = fault.New(pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED, "%s", text)
		s.row.State, s.row.Error = stateFailed, []byte(text)
		return s
	}
	one, other := failing(first, "first"), failing(second, "second")
	e.settleOrSingle(ctx, []*settlement{one, other}, hurried)
	return <-one.done, <-other.done
}
