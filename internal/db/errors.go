package db

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// SQLSTATEs that mean something to us.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	uniqueViolation      = "23505"
	foreignKeyViolation  = "23503"
	adminShutdown        = "57P01"
	crashShutdown        = "57P02"
	lockNotAvailable     = "55P03"
)

// reconnectAfter is what callers are told to wait when the database is away.
const reconnectAfter = time.Second

func retriable(err error) bool {
	state := sqlState(err)
	return state == serializationFailure || state == deadlockDetected
}

// UniqueViolation says that err is a breach of the named constraint or index.
func UniqueViolation(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == uniqueViolation && pg.ConstraintName == constraint
}

// ForeignKeyViolation says that err is a reference to a row that is not there.
func ForeignKeyViolation(err error) bool { return sqlState(err) == foreignKeyViolation }

// LockHeld says that another transaction kept a lock for longer than was waited for it.
func LockHeld(err error) bool { return sqlState(err) == lockNotAvailable }

// Classify turns "the database is away" into a fault that tells callers to come
// back. All other errors stay as they are: callers see them as internal.
func Classify(err error) error { return classify(err) }

func classify(err error) error {
	if err == nil || !away(err) {
		return err
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	return Unanswered(err)
}

// Away says that the database could not be reached.
func Away(err error) bool {
	return fault.ReasonOf(classify(err)) == pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE
}

// Unanswered tells callers that the database does not answer, whatever the error is.
func Unanswered(err error) error {
	return &fault.Error{
		Reason:     pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE,
		Public:     "our database cannot be reached; try again shortly",
		RetryAfter: reconnectAfter,
		Cause:      err,
	}
}

// away says that err is about reaching the database, not about what was asked of it.
func away(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return !errors.Is(err, context.Canceled) // our own connect time-out counts, a caller who left does not
	}
	// The caller's own impatience is not the database's fault.
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, pgx.ErrNoRows) {
		return false
	}
	if state := sqlState(err); state != "" {
		// 08 connection exceptions, 57P operator intervention (shutting down, starting
		// up, crashed), 53 out of resources (too many connections), 25006 a standby.
		return strings.HasPrefix(state, "08") || strings.HasPrefix(state, "57P") || strings.HasPrefix(state, "53") || state == "25006"
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		strings.Contains(err.Error(), "conn closed") // pgx has no value for it
}
