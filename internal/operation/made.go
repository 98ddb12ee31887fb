package operation

import (
	"context"
	"log/slog"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

// lacking is what an answer has to say and does not, "" if nothing: the id of what was
// made, without which it would be nobody's, or the secret that is given once. What the
// vendor did is then not known, whatever its status.
func (a *attempt) lacking(answer proto.Message) string {
	if !a.named(answer) {
		return "the answer does not say what was made"
	}
	if a.method.Access.GetReturnsSecret() && !methods.HasSecret(answer) {
		return "the answer lacks the secret that is given once"
	}
	return ""
}

// named says whether an answer names what the method makes. Of some the request says which
// they are, and some have no id by contract.
func (a *attempt) named(answer proto.Message) bool {
	if !a.makes() {
		return true
	}
	made := methods.Strings(answer, a.method.Access.GetSubject().GetField())
	for _, text := range made {
		if id, err := uuid.Parse(text); err != nil || id == uuid.Nil {
			return false
		}
	}
	return len(made) > 0
}

// makes says that only the answer tells the id of what the change makes.
func (a *attempt) makes() bool {
	access := a.method.Access
	return access.GetAction() == pb.Action_ACTION_CREATE && access.GetSubject().GetField() != "" && a.row.ResourceUUID == nil
}

// doubtful leaves a change for a later look: the vendor said yes, in an answer that cannot
// be the one to it.
func (a *attempt) doubtful(ctx context.Context, problem string, seen []budget.Answer) error {
	a.engine.Log.WarnContext(ctx, "an answer of success that tells nothing", slog.String("operation", a.row.ID.String()),
		slog.String("method", a.row.Method), slog.String("problem", problem))
	return a.refused(ctx, upstream.Unusable(a.method, problem), true, seen)
}
