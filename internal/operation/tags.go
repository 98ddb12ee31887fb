package operation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/mirror"
)

// tagged refuses tags by which we know what an operation made. What carries one keeps it:
// who sends back the tags that there are sends it, too.
func (e *Engine) tagged(ctx context.Context, s *submission) error {
	for _, path := range []string{"tags", "tags.tags"} { // a list, or a message around one
		for _, tag := range methods.Strings(s.request, path) {
			if !strings.HasPrefix(tag, mirror.OperationTag) {
				continue
			}
			there, err := e.carries(ctx, s, tag)
			if err != nil {
				return err
			}
			if !there {
				return fault.Invalid(path, "tags that begin with %q are for us to give", mirror.OperationTag)
			}
		}
	}
	return nil
}

// carries says whether what a change is about has a tag already.
func (e *Engine) carries(ctx context.Context, s *submission, tag string) (bool, error) {
	if s.subject.UUID == nil {
		return false, nil // it is not there yet
	}
	row, err := e.Store.Resource(ctx, dbsql.ResourceParams{Kind: s.subject.Kind, UUID: *s.subject.UUID})
	if err != nil && !db.NoRows(err) {
		return false, fmt.Errorf("reading the tags of %s %s: %w", s.subject.Kind, s.subject.UUID, err)
	}
	return slices.Contains(row.Tags, tag), nil
}
