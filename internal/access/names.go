package access

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// checkNames is about what has one of the names, where a name decides at all. What has none
// is unknown, as with uuids.
func (r request) checkNames(ctx context.Context, target *pb.Target, names []string) ([]thing, error) {
	if methods.String(r.message, target.GetUnless()) != "" || methods.Meets(r.message.ProtoReflect(), target.GetExcept()) {
		return nil, nil
	}
	var things []thing
	for _, name := range names {
		named, err := r.named(ctx, target, name)
		if err != nil {
			return nil, err
		}
		if len(named) == 0 && !target.GetIfKnown() {
			if err := r.mayCallUnknown(ctx, target, name, identity.Target{Kind: target.GetKind(), Name: name}); err != nil {
				return nil, err
			}
		}
		if len(named) == 0 {
			continue
		}
		t, err := r.meant(target, named)
		if err != nil {
			return nil, err
		}
		if err := r.allow(target, t); err != nil {
			return nil, err
		}
		things = append(things, t)
	}
	return things, nil
}

// meant is the one thing that a name can mean. By which rule the vendor chooses among several
// is unknown, so a name that several have means none of them, and the refusal is in the same
// words whether another team has one of them or the caller has them all.
func (r request) meant(target *pb.Target, named []thing) (thing, error) {
	hidden := slices.IndexFunc(named, func(t thing) bool { return !r.sees(t) })
	anyVisible := slices.ContainsFunc(named, r.sees)
	switch vendors := slices.IndexFunc(named, func(t thing) bool { return t.shared }); {
	case !anyVisible && !target.GetIfKnown():
		return named[0], nil // and is refused as what does not exist
	case len(named) == 1 && anyVisible:
		return named[0], nil
	case vendors >= 0 && target.GetUnless() == "":
		// There is no uuid to ask for, and nobody can take a model of the vendor's from all
		// others by importing one of the same name.
		return named[vendors], nil
	}
	no := fault.Invalid(target.GetField(), "%q does not say for certain which one is meant", named[0].called)
	if uuids := target.GetUnless(); uuids != "" {
		no = fault.Invalid(target.GetField(), "%q does not say for certain which one is meant: give %s", named[0].called, uuids)
	}
	if hidden >= 0 {
		return thing{}, (&refusal{fault: no}).on(named[hidden])
	}
	return thing{}, no
}

// sees says whether the caller may know of a thing.
func (r request) sees(t thing) bool {
	return t.shared || r.caller.SeesAll() || t.team.ID != uuid.Nil && r.caller.Role(t.team.ID) != pb.Role_ROLE_UNSPECIFIED
}

// named is everything that has a name, as far as we know. Each of the kinds is listed before,
// if it never was: what we have not heard of may have the name as well.
func (r request) named(ctx context.Context, target *pb.Target, name string) ([]thing, error) {
	if _, _, err := r.knowing(ctx, target); err != nil {
		return nil, err
	}
	rows, err := r.store.OwnersByName(ctx, dbsql.OwnersByNameParams{Kinds: kindsOf(target), Name: name})
	if err != nil {
		return nil, fmt.Errorf("looking for the owners of what the request names: %w", err)
	}
	things := make([]thing, 0, len(rows))
	for _, row := range rows {
		t := thing{Target: identity.Target{Kind: row.Kind, UUID: row.UUID, Name: row.Name}, shared: row.Shared, called: name, account: row.Account}
		if row.TeamID != nil {
			t.team = identity.Team{ID: *row.TeamID, Name: row.TeamName}
		}
		things = append(things, t)
	}
	return things, nil
}
