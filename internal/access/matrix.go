package access

import (
	"slices"
	"strings"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// Need is what one method takes, as its access rule says.
type Need struct {
	Method string
	Action pb.Action
	// Scope is who may call it, where it names nothing.
	Scope pb.Scope
	// Targets are what it touches, and the role that takes; the first is what it is about.
	Targets []*pb.Target
	// WhileFrozen says that it works while its team is frozen; reads always do.
	WhileFrozen bool
}

// Needs are those of all methods, in the order of their names: the whole matrix. It has no
// other source than the methods' options.
func Needs() []Need {
	all := methods.API().All()
	needs := make([]Need, 0, len(all))
	for _, m := range all {
		needs = append(needs, Need{
			Method: strings.TrimPrefix(string(m.Name), methods.Package+"."), Action: m.Access.GetAction(), Scope: m.Access.GetScope(),
			Targets: m.Access.GetTargets(), WhileFrozen: reads(m.Access.GetAction()) || m.Access.GetWhileFrozen(),
		})
	}
	return needs
}

// Role is the least role in the team of what a method is about that it takes; OWNER of
// nothing for what only administrators may call.
func (n Need) Role() pb.Role {
	if len(n.Targets) > 0 {
		return n.Targets[0].GetRole()
	}
	return pb.Role_ROLE_UNSPECIFIED
}

// May says whether a role in the team, or a platform role, is enough for what the method is
// about. What it touches besides may take a role there.
func (n Need) May(role pb.Role, platform pb.PlatformRole) bool {
	switch {
	case platform == pb.PlatformRole_PLATFORM_ROLE_ADMIN, n.Scope == pb.Scope_SCOPE_VISIBLE, n.Scope == pb.Scope_SCOPE_SELF:
		return true
	case n.Scope == pb.Scope_SCOPE_AUDITOR:
		return platform == pb.PlatformRole_PLATFORM_ROLE_AUDITOR
	case n.Scope == pb.Scope_SCOPE_ADMIN, n.Role() == pb.Role_ROLE_UNSPECIFIED:
		return false
	case platform == pb.PlatformRole_PLATFORM_ROLE_AUDITOR && reads(n.Action):
		return true
	}
	return role >= n.Role()
}

// Callable are the methods that a caller may call on something that is theirs.
func Callable(c identity.Caller) []string {
	role := pb.Role_ROLE_UNSPECIFIED
	for _, m := range c.Teams {
		role = max(role, m.Role)
	}
	var names []string
	for _, need := range Needs() {
		if need.May(role, c.Platform) {
			names = append(names, need.Method)
		}
	}
	return slices.Clip(names)
}
