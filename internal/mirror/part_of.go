package mirror

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// HasParts wants what a change names as parts of its first target to be parts of that one: by
// our copy, or else by what the vendor shows now. One that is not is a fault NOT_FOUND, as one
// that never was. A part never moves to another whole, so an old copy is good enough for a yes.
func (m *Mirror) HasParts(ctx context.Context, req proto.Message) error {
	method := m.api.ByRequest(req)
	part := method.Access.GetPart()
	k, id := m.named(Change{Method: method, Request: req})
	if k == nil {
		return fmt.Errorf("%s is about parts of what is not mirrored", method.Name)
	}
	missing := methods.Strings(req, part.GetField())
	row, err := m.store.Resource(ctx, dbsql.ResourceParams{Kind: k.name, UUID: id})
	if err != nil && !db.NoRows(err) {
		return fmt.Errorf("reading %s %s: %w", k.name, id, db.Classify(err))
	}
	body, err := decode(k.full, row.Body)
	if err != nil {
		return err
	}
	if body != nil && part.GetCopy() != "" {
		missing = without(missing, body, part.GetCopy())
	}
	if len(missing) == 0 {
		return nil
	}
	return m.showsParts(ctx, k, id, part, missing)
}

// showsParts asks the vendor for the parts of a resource.
func (m *Mirror) showsParts(ctx context.Context, k *kind, id uuid.UUID, part *pb.Part, missing []string) error {
	method := m.api.ByName(part.GetMethod())
	req := method.Input.New().Interface()
	set(req, method.Access.GetTargets()[0].GetField(), id.String())
	told, err := m.pages(ctx, m.waiting(budget.Change, nil), method, req, part.GetItems(),
		func(_ time.Time, _ []proto.Message, answer proto.Message) error {
			missing = without(missing, answer, part.GetItems())
			return nil
		})
	switch {
	case err != nil:
		return fmt.Errorf("looking for the parts of %s %s: %w", k.name, id, asFault(err))
	case len(missing) > 0 && told.misread:
		return misunderstood(k, id, fmt.Errorf("%s %s is not in what could be read of it", part.GetKind(), missing[0]))
	case len(missing) > 0:
		return fault.NotFound(part.GetKind(), missing[0])
	}
	return nil
}

// without is ids less those of the messages at a path.
func without(ids []string, m proto.Message, path string) []string {
	shown := methods.Strings(m, path+".uuid")
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(shown, id) })
}

// otherPart is [ErrAnotherResource] if the answer to a change shows another part than the one
// that it was about.
func otherPart(c Change) error {
	part := c.Method.Access.GetPart()
	if part.GetAnswer() == "" || c.Response == nil {
		return nil
	}
	asked, shown := methods.String(c.Request, part.GetField()), methods.String(c.Response, part.GetAnswer())
	if shown != "" && shown != asked {
		return fmt.Errorf("%w: %s %s in place of %s", ErrAnotherResource, part.GetKind(), shown, asked)
	}
	return nil
}
