// Package accesstest says what access control is to answer, worked out from the options of a
// method by code that has nothing of the guard's. The tests of the guard and those of the
// service's port are both held against it.
package accesstest

import (
	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// Who calls. The first three roles are in the team whose things are [Own].
type Who string

// Callers.
const (
	Nobody      Who = "nobody"
	Viewer      Who = "viewer"
	Operator    Who = "operator"
	Owner       Who = "owner"
	OtherOwner  Who = "other team's owner" // owns the team whose things are [Another]'s
	Auditor     Who = "auditor"
	Admin       Who = "admin"
	FrozenOwner Who = "owner of a frozen team" // to whom that team's things are [Own]
)

// Callers are all who call, in the order of what they may do.
func Callers() []Who {
	return []Who{Nobody, Viewer, Operator, Owner, OtherOwner, Auditor, Admin, FrozenOwner}
}

// What a call is about.
type What string

// Things.
const (
	Own       What = "own"
	Another   What = "another team's"
	Unclaimed What = "unclaimed"
	Missing   What = "missing"
	// Nothing is a target that the request leaves out.
	Nothing What = "nothing"
)

// Things are all that a call can be about.
func Things() []What { return []What{Own, Another, Unclaimed, Missing} }

// What a call is refused with.
const (
	Allowed   = pb.ErrorReason_ERROR_REASON_UNSPECIFIED
	Unknown   = pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED
	Forbidden = pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED
	Hidden    = pb.ErrorReason_ERROR_REASON_NOT_FOUND
	Frozen    = pb.ErrorReason_ERROR_REASON_FROZEN
	Ambiguous = pb.ErrorReason_ERROR_REASON_INVALID_REQUEST
)

// Expected is the reason with which a call is refused, or Allowed. The things are what the
// method's targets name, in their order; those that are left out are Nothing. It takes our copy
// to have all that there is of each kind.
func Expected(m *methods.Method, who Who, things ...What) pb.ErrorReason {
	if who == Nobody {
		return Unknown
	}
	targets := m.Access.GetTargets()
	if len(targets) == 0 {
		return byScope(m.Access.GetScope(), who)
	}
	for i, what := range things {
		if what == Nothing {
			continue
		}
		if reason := byTarget(m, targets[i], who, what); reason != Allowed {
			return reason
		}
	}
	if who == FrozenOwner && !Reads(m) && !m.Access.GetWhileFrozen() {
		return Frozen
	}
	return Allowed
}

func byScope(scope pb.Scope, who Who) pb.ErrorReason {
	switch scope {
	case pb.Scope_SCOPE_VISIBLE, pb.Scope_SCOPE_SELF:
		return Allowed
	case pb.Scope_SCOPE_ADMIN, pb.Scope_SCOPE_AUDITOR:
		if who == Admin || who == Auditor && scope == pb.Scope_SCOPE_AUDITOR {
			return Allowed
		}
	case pb.Scope_SCOPE_UNSPECIFIED:
	}
	return Forbidden
}

func byTarget(m *methods.Method, target *pb.Target, who Who, what What) pb.ErrorReason {
	if what == Missing {
		if target.GetIfKnown() && target.GetByName() {
			return Allowed // and left to the vendor
		}
		return Hidden
	}
	role := RoleIn(who, what)
	switch {
	case who == Admin, who == Auditor && Reads(m):
		return Allowed
	case who == Auditor:
		return Forbidden // they see that it is there
	case role == pb.Role_ROLE_UNSPECIFIED && target.GetByName() && target.GetIfKnown():
		return Ambiguous // the vendor might take the name for another team's
	case role == pb.Role_ROLE_UNSPECIFIED:
		return Hidden
	case role >= target.GetRole():
		return Allowed
	}
	return Forbidden
}

// RoleIn is the role of a caller in the team that has a thing.
func RoleIn(who Who, what What) pb.Role {
	switch {
	case what == Another && who == OtherOwner, what == Own && (who == Owner || who == FrozenOwner):
		return pb.Role_ROLE_OWNER
	case what == Own && who == Operator:
		return pb.Role_ROLE_OPERATOR
	case what == Own && who == Viewer:
		return pb.Role_ROLE_VIEWER
	}
	return pb.Role_ROLE_UNSPECIFIED
}

// Reads says that a method reads and nothing more, as auditors may everywhere and everybody
// may while frozen.
func Reads(m *methods.Method) bool {
	return m.Access.GetAction() == pb.Action_ACTION_LIST || m.Access.GetAction() == pb.Action_ACTION_READ
}
