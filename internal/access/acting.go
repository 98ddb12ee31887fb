package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// Refused puts into the history that c was refused before its request was read: it wanted
// to act for somebody and may not. It answers err, or why that cannot be recorded. m is nil
// for a method that there is not.
func (g *Guard) Refused(ctx context.Context, c identity.Caller, m *methods.Method, err error) error {
	no, ok := errors.AsType[*fault.Error](err)
	if !ok || m == nil {
		return err
	}
	if err := g.record(ctx, c, m, m.Input.New().Interface(), &refusal{fault: no}); err != nil {
		return fmt.Errorf("recording a denial: %w", err)
	}
	g.log.LogAttrs(ctx, slog.LevelWarn, "access denied", slog.String("caller", c.Name), slog.String("request_id", c.RequestID),
		slog.String("method", methodName(m)), slog.String("error", no.Public))
	return err
}
