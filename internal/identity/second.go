package identity

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// Another wants a caller who decides on what somebody asked for to be somebody else: not the
// same person under another issuer, nor through a service that acts for others, nor with a
// token that either has made for a service. asked may be nil, and then has only a name. The
// fault's words go on after what, which names the thing.
func Another(ctx context.Context, q *db.Queries, by Caller, asked *uuid.UUID, name, what string) error {
	if by.ActingService != "" {
		return fault.Precondition("nobody is asked twice: %s is decided by a person or a service that calls by itself, not through %s", what, by.ActingService)
	}
	if asked != nil && *asked == by.PrincipalID || name == by.Name {
		return fault.Precondition("you asked for %s yourself: another owner decides", what)
	}
	if asked == nil || by.PrincipalID == uuid.Nil {
		return nil
	}
	shared, err := q.OneHand(ctx, dbsql.OneHandParams{One: *asked, Other: by.PrincipalID})
	if err != nil {
		return fmt.Errorf("looking who is behind %s: %w", what, err)
	}
	if shared {
		return fault.Precondition("who asked for %s may have your credentials, or you theirs, as one made a token for the other: another owner decides", what)
	}
	return nil
}
