package ledger

import (
	"context"
	"errors"
	"log/slog"
)

// BrokenError says that the log in the database is not a continuation of what was signed.
type BrokenError struct{ what string }

func (e *BrokenError) Error() string { return e.what }

// repeatAfter is how many times in a row the same complaint is kept back.
const repeatAfter = 600

// Complaints has what goes wrong each second said in the log when it begins and every ten
// minutes, not each second. A broken history is an error, all else a warning: it passes.
// The zero value is ready. It is for one goroutine.
type Complaints struct {
	last string
	kept int
}

// Say logs an error; nil says that all is well again.
func (c *Complaints) Say(ctx context.Context, log *slog.Logger, message string, err error, attributes ...slog.Attr) {
	if err == nil {
		c.last = ""
		return
	}
	if c.kept++; err.Error() == c.last && c.kept < repeatAfter {
		return
	}
	c.last, c.kept = err.Error(), 0
	level := slog.LevelWarn
	if _, ok := errors.AsType[*BrokenError](err); ok {
		level = slog.LevelError
	}
	log.LogAttrs(ctx, level, message, append(attributes, slog.Any("error", err))...) //nolint:sloglint // one of its callers' constants
}
