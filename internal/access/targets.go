package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// Kinds of targets that are not resources of the vendor's.
const (
	kindTeam      = "team"
	kindOperation = "operation"
)

// request is one call being decided.
type request struct {
	*Guard

	caller  identity.Caller
	method  *methods.Method
	message proto.Message
	// again says that it was let through before, and lasts.
	again bool
}

// thing is something that the request names, and its owner.
type thing struct {
	identity.Target

	// team is zero for what belongs to none.
	team identity.Team
	// shared is what every caller may see.
	shared bool
	// called is what the caller called it, where that is not its uuid.
	called string
	// account is the vendor account that it is in, or that the team creates in.
	account string
}

// check wants a yes for everything that one target names, and answers it in the
// request's order.
func (r request) check(ctx context.Context, target *pb.Target) ([]thing, error) {
	if kind := target.GetKindField(); kind != "" {
		target = proto.CloneOf(target)
		target.Kind = methods.String(r.message, kind)
	}
	named := methods.Strings(r.message, target.GetField())
	switch {
	case target.GetKind() == kindTeam:
		return r.checkTeams(ctx, target, named)
	case target.GetByName():
		return r.checkNames(ctx, target, named)
	}
	ids := make([]uuid.UUID, 0, len(named))
	for _, text := range named {
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, fault.Invalid(target.GetField(), "must be a UUID")
		}
		ids = append(ids, id)
	}
	switch {
	case len(ids) == 0:
		return nil, nil
	case target.GetKind() == kindOperation:
		return r.checkOperations(ctx, target, ids)
	default:
		return r.checkResources(ctx, target, ids)
	}
}

// checkTeams is about the teams named, or for something new the only team that its
// owner can be.
func (r request) checkTeams(ctx context.Context, target *pb.Target, names []string) ([]thing, error) {
	switch action := r.method.Access.GetAction(); {
	case len(names) > 0:
	case action == pb.Action_ACTION_CREATE || action == pb.Action_ACTION_REVEAL:
		only, err := r.onlyTeam(target.GetField())
		if err != nil {
			return nil, err
		}
		names = []string{only.Name}
	}
	things := make([]thing, 0, len(names))
	for _, name := range names {
		row, err := r.store.TeamByName(ctx, name)
		if db.NoRows(err) {
			return nil, r.absent(kindTeam, name, identity.Target{Kind: kindTeam, Name: name})
		}
		if err != nil {
			return nil, fmt.Errorf("looking for team %s: %w", name, err)
		}
		t := thing{
			Target: identity.Target{Kind: kindTeam, UUID: row.ID, Name: row.Name},
			team:   identity.Team{ID: row.ID, Name: row.Name}, account: row.Account,
		}
		if err := r.allow(target, t); err != nil {
			return nil, err
		}
		if row.ArchivedAt != nil && !reads(r.method.Access.GetAction()) && !r.method.Access.GetWhileFrozen() {
			return nil, fault.Precondition("team %q is archived: it can do nothing any more", name)
		}
		things = append(things, t)
	}
	return things, nil
}

// onlyTeam is the team of a caller who has one.
func (r request) onlyTeam(field string) (identity.Team, error) {
	switch teams := r.caller.Teams; {
	case len(teams) == 1:
		return identity.Team{ID: teams[0].TeamID, Name: teams[0].Team}, nil
	case len(teams) > 1:
		names := make([]string, 0, len(teams))
		for _, t := range teams {
			names = append(names, t.Team)
		}
		return identity.Team{}, fault.Invalid(field, "you belong to several teams; say which one will own it: %s",
			strings.Join(names, ", "))
	case r.caller.Admin():
		return identity.Team{}, fault.Invalid(field, "you belong to no team; say which one will own it")
	default:
		return identity.Team{}, denied("you belong to no team that could own it; ask an administrator")
	}
}

func (r request) checkOperations(ctx context.Context, target *pb.Target, ids []uuid.UUID) ([]thing, error) {
	things := make([]thing, 0, len(ids))
	for _, id := range ids {
		owner, err := r.store.OperationOwner(ctx, id)
		if db.NoRows(err) {
			return nil, r.absent(kindOperation, id.String(), identity.Target{Kind: kindOperation, UUID: id})
		}
		if err != nil {
			return nil, fmt.Errorf("looking for the owner of operation %s: %w", id, err)
		}
		t := thing{Target: identity.Target{Kind: kindOperation, UUID: id}, team: identity.Team{ID: owner.TeamID}, account: owner.Account}
		if r.sees(t) { // else its team is nobody's business, and no query is spent on it
			if t.team.Name, err = r.teamName(ctx, owner.TeamID); err != nil {
				return nil, err
			}
		}
		if err := r.allow(target, t); err != nil {
			return nil, err
		}
		things = append(things, t)
	}
	return things, nil
}

func (r request) teamName(ctx context.Context, id uuid.UUID) (string, error) {
	for _, m := range r.caller.Teams {
		if m.TeamID == id {
			return m.Team, nil
		}
	}
	team, err := r.store.TeamByID(ctx, id)
	if err != nil {
		return "", fmt.Errorf("looking for the name of team %s: %w", id, err)
	}
	return team.Name, nil
}

func (r request) checkResources(ctx context.Context, target *pb.Target, ids []uuid.UUID) ([]thing, error) {
	known, err := r.owners(ctx, target, ids)
	if err != nil {
		return nil, err
	}
	whole := false
	if target.GetIfKnown() && slices.ContainsFunc(ids, func(id uuid.UUID) bool { return r.hidden(known, id) }) {
		if _, whole, err = r.knowing(ctx, target); err != nil {
			return nil, err
		}
	}
	things := make([]thing, 0, len(ids))
	var no refusals
	for _, id := range ids {
		row, isKnown := known[id]
		if target.GetIfKnown() && (!isKnown && !whole || row.Deleted && row.Shared) {
			continue // the vendor may know it, or have withdrawn it
		}
		t, err := r.checkResource(ctx, target, id, row, isKnown)
		if err := no.add(err); err != nil {
			return nil, err
		}
		things = append(things, t)
	}
	return things, no.err()
}

// checkResource is about one resource, of which row is what is known.
func (r request) checkResource(ctx context.Context, target *pb.Target, id uuid.UUID, row dbsql.OwnersRow, isKnown bool) (thing, error) {
	if !isKnown {
		row.Kind = target.GetKind()
	}
	t := thing{Target: identity.Target{Kind: row.Kind, UUID: id, Name: row.Name}, shared: row.Shared, account: row.Account}
	if row.TeamID != nil {
		t.team = identity.Team{ID: *row.TeamID, Name: row.TeamName}
	}
	if !isKnown || !r.sees(t) {
		// What is another team's goes the way of what never was: in the same words, by the same
		// queries, and into the history like it, so that not even the time tells them apart.
		if err := r.mayCallUnknown(ctx, target, id.String(), t.Target); err != nil {
			return t, err
		}
	}
	if row.Deleted && !r.maySeeDeleted(target, t) {
		return t, fault.NotFound(kindOf(target), id.String())
	}
	if err := r.allow(target, t); err != nil {
		return t, err
	}
	var err error
	t.team, err = r.orPlatform(ctx, t.team)
	return t, err
}

func (r request) ownersOf(ctx context.Context, kinds []string, ids []uuid.UUID) ([]dbsql.OwnersRow, error) {
	if len(kinds) != 1 || len(ids) != 1 {
		return r.store.Owners(ctx, dbsql.OwnersParams{Kinds: kinds, Uuids: ids})
	}
	rows, err := r.store.Owner(ctx, dbsql.OwnerParams{Kind: kinds[0], UUID: ids[0]})
	owners := make([]dbsql.OwnersRow, len(rows))
	for i, row := range rows {
		owners[i] = dbsql.OwnersRow(row)
	}
	return owners, err
}

// owners are what is known of the named resources. Before one of a kind that was never
// listed counts as unknown, it is.
func (r request) owners(ctx context.Context, target *pb.Target, ids []uuid.UUID) (map[uuid.UUID]dbsql.OwnersRow, error) {
	known := make(map[uuid.UUID]dbsql.OwnersRow, len(ids))
	for again := false; ; again = true {
		rows, err := r.ownersOf(ctx, kindsOf(target), ids)
		if err != nil {
			return nil, fmt.Errorf("looking for the owners of what the request names: %w", err)
		}
		for _, row := range rows {
			known[row.UUID] = row
		}
		if again || !slices.ContainsFunc(ids, func(id uuid.UUID) bool { return r.hidden(known, id) }) {
			return known, nil
		}
		if some, _, err := r.knowing(ctx, target); err != nil || !some {
			return known, err
		}
	}
}

// knowing says of how many of a target's kinds our copy has everything: of some, or of all.
func (r request) knowing(ctx context.Context, target *pb.Target) (some, all bool, err error) {
	all = true
	for _, kind := range kindsOf(target) {
		whole, err := r.knows(ctx, r.caller, kind)
		if err != nil && (!target.GetIfKnown() || !forbids(err)) {
			return false, false, err
		}
		some, all = some || whole, all && whole
	}
	return some, all, nil
}

// forbids says that the vendor does not let us list a kind, for want of a scope. It must not
// keep everybody from what is not of that kind.
func forbids(err error) bool {
	e, ok := errors.AsType[*fault.Error](err)
	return ok && e.VendorStatus == http.StatusForbidden
}

// kindsOf are the kinds of which a target may be.
func kindsOf(target *pb.Target) []string {
	return slices.Concat([]string{target.GetKind()}, target.GetOrKinds())
}

// kindOf is what a target may be in the words of a refusal: those for what is of the first kind
// are those for what is of another one, or of none.
func kindOf(target *pb.Target) string { return strings.Join(kindsOf(target), " or ") }

// hidden says that the caller may not know whether there is a resource: there is none, or it
// is another team's.
func (r request) hidden(known map[uuid.UUID]dbsql.OwnersRow, id uuid.UUID) bool {
	row, isKnown := known[id]
	t := thing{shared: row.Shared}
	if row.TeamID != nil {
		t.team.ID = *row.TeamID
	}
	return !isKnown || !r.sees(t)
}

// absent is the refusal of what is not there. It is recorded as that of what is another
// team's: who tries uuids leaves a trace, and waits no shorter than where they hit. From who
// sees everything nothing is hidden, and it is a mistake.
func (r request) absent(kind, called string, what identity.Target) error {
	if r.caller.SeesAll() {
		return fault.NotFound(kind, called)
	}
	return (&refusal{fault: fault.NotFound(kind, called)}).on(thing{Target: what})
}

// mayCallUnknown refuses what our copy does not have. Where it cannot have all of a kind,
// such a resource may well exist at the vendor: an administrator is taken at their word,
// and the vendor says if not.
func (r request) mayCallUnknown(ctx context.Context, target *pb.Target, called string, what identity.Target) error {
	_, all, err := r.knowing(ctx, target)
	if err != nil {
		return err
	}
	if all || !r.caller.Admin() {
		return r.absent(kindOf(target), called, what)
	}
	return nil
}

// maySeeDeleted lets a change with an idempotency key through to what its own team
// has deleted: it may be the repetition of the change that deleted it, and must
// then get that one's answer. A new change is refused by the vendor. What reads history
// is let through to what is history, and a call that lasts goes on.
func (r request) maySeeDeleted(target *pb.Target, t thing) bool {
	if target.GetOrDeleted() || r.again {
		return true // whether the caller may see it is asked as for all else
	}
	return r.method.Durable() && methods.String(r.message, "mutation.idempotency_key") != "" &&
		t.team.ID != uuid.Nil && r.caller.Role(t.team.ID) >= target.GetRole()
}

// orPlatform says whose a change of an unowned resource is. Only administrators
// get that far.
func (r request) orPlatform(ctx context.Context, team identity.Team) (identity.Team, error) {
	if team.ID != uuid.Nil || reads(r.method.Access.GetAction()) {
		return team, nil
	}
	platform, err := r.store.TeamByName(ctx, PlatformTeam)
	if err != nil {
		return identity.Team{}, fmt.Errorf("looking for the team of what belongs to nobody: %w", err)
	}
	return identity.Team{ID: platform.ID, Name: platform.Name}, nil
}

// reads says whether an action is one of those that auditors may do everywhere.
func reads(action pb.Action) bool {
	return action == pb.Action_ACTION_LIST || action == pb.Action_ACTION_READ
}

// allow is the rule itself.
func (r request) allow(target *pb.Target, t thing) error {
	needed := target.GetRole()
	if needed == pb.Role_ROLE_UNSPECIFIED {
		return denied("this method has an access rule without a role, so nobody may call it")
	}
	if r.caller.Admin() || (r.caller.SeesAll() && reads(r.method.Access.GetAction())) {
		return nil
	}
	role := pb.Role_ROLE_UNSPECIFIED
	if t.team.ID != uuid.Nil {
		role = r.caller.Role(t.team.ID)
	}
	if t.shared {
		role = max(role, pb.Role_ROLE_VIEWER)
	}
	switch {
	case role >= needed:
		return nil
	case role != pb.Role_ROLE_UNSPECIFIED:
		return r.tooLow(needed, role, t)
	case !r.caller.SeesAll():
		return (&refusal{fault: fault.NotFound(kindOf(target), r.nameOf(t))}).on(t)
	case t.team.ID == uuid.Nil:
		return denied("auditors may read everything and nothing more: what belongs to no team is for administrators").on(t)
	default:
		return denied("auditors may read everything and nothing more: this takes the role %s in team %s",
			roleName(needed), t.team.Name).on(t)
	}
}

// tooLow is the refusal of a caller who may see the thing.
func (r request) tooLow(needed, role pb.Role, t thing) error {
	if t.team.ID == uuid.Nil {
		return denied("everybody may see this, and it belongs to no team that could change it: that is for administrators").on(t)
	}
	return denied("this takes the role %s in team %s, where you are %s", roleName(needed), t.team.Name, roleName(role)).on(t)
}

// nameOf is what the caller called it, so that a team that exists and one that
// does not are refused in the same words.
func (r request) nameOf(t thing) string {
	switch {
	case t.Kind == kindTeam:
		return t.Name
	case t.called != "":
		return t.called
	}
	return t.UUID.String()
}

func roleName(role pb.Role) string { return strings.TrimPrefix(role.String(), "ROLE_") }
