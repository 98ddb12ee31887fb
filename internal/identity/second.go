package identity

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// Asked is who asked for something that another decides on.
type Asked struct {
	// Principal is their row; nil, and then they have only a name, for the service itself.
	Principal *uuid.UUID
	Name      string
	// Through is the name of the service that asked on their behalf; "" where none did.
	Through string
}

// Another wants a caller who decides on what somebody asked for to be somebody else: not the
// same person under another issuer, nor through a service that acts for others, nor the service
// through which it was asked for, nor with a token that either has made for a service. The
// fault's words go on after what, which names the thing.
func Another(ctx context.Context, q *db.Queries, by Caller, asked Asked, what string) error {
	if by.ActingService != "" {
		return fault.Precondition("nobody is asked twice: %s is decided by a person or a service that calls by itself, not through %s", what, by.ActingService)
	}
	if asked.Principal != nil && *asked.Principal == by.PrincipalID || asked.Name == by.Name {
		return fault.Precondition("you asked for %s yourself: another owner decides", what)
	}
	if asked.Principal == nil || by.PrincipalID == uuid.Nil {
		return nil
	}
	shared, err := q.OneHand(ctx, dbsql.OneHandParams{One: *asked.Principal, Through: asked.Through, Other: by.PrincipalID})
	if err != nil {
		return fmt.Errorf("looking who is behind %s: %w", what, err)
	}
	if shared {
		return fault.Precondition("who asked for %s may have your credentials, or you theirs, as one made a token for the other "+
			"or asked on their behalf: another owner decides", what)
	}
	return nil
}
