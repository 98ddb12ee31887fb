package ledger

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// Export writes all sealed events that are there, in the order of their places, up to where
// the log ends now. Memory does not grow with them.
func Export(ctx context.Context, store *db.Store, w io.Writer) error {
	head, err := store.LogHead(ctx, 0)
	if err != nil {
		return fmt.Errorf("looking where the log ends: %w", db.Classify(err))
	}
	out := bufio.NewWriter(w)
	var line []byte
	for first := int64(0); first < head.Size; first += checkGroup {
		rows, err := store.SealedEvents(ctx, dbsql.SealedEventsParams{First: first, Beyond: min(head.Size, first+checkGroup)})
		if err != nil {
			return fmt.Errorf("reading sealed events: %w", db.Classify(err))
		}
		for _, row := range rows {
			line = append(audit.AppendLine(line[:0], row.Index, row.AuditEvent), '\n')
			if _, err := out.Write(line); err != nil {
				return fmt.Errorf("writing the export: %w", err)
			}
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the export: %w", err)
	}
	return nil
}
