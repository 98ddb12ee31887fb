// Package identity answers who is calling.
package identity

import (
	"context"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// Caller is a person or a service, with what they may do.
type Caller struct {
	// PrincipalID is their row; the zero UUID for the service itself.
	PrincipalID uuid.UUID
	// Name is an email address, or the name of a service.
	Name    string
	Service bool
	// ActingService is the name of the service that acts on behalf of this person; "" if
	// they call by themselves.
	ActingService string
	Platform      pb.PlatformRole
	// Teams are ordered by name.
	Teams []Membership
	// Origin of the call, for the audit history.
	RequestID, Address, UserAgent string

	// ActingTeam is the team that the call acts for, and Target the first resource
	// that it touches, both as the access check found them; zero before it ran and
	// for methods without targets.
	ActingTeam Team
	Target     Target
	// Account is the vendor account that the call goes to, as the access check found it; ""
	// where nothing that it touches is in one.
	Account string
}

// Team names a team.
type Team struct {
	ID   uuid.UUID
	Name string
}

// Target is a resource that a call touches.
type Target struct {
	Kind string
	UUID uuid.UUID
	Name string
}

// Membership is a role in a team.
type Membership struct {
	TeamID uuid.UUID
	Team   string
	Role   pb.Role
	// Account is the vendor account that what the team creates is created in.
	Account string
}

// Role is the caller's role in a team, ROLE_UNSPECIFIED if they do not belong to
// it. Administrators are owners everywhere.
func (c Caller) Role(team uuid.UUID) pb.Role {
	if c.Admin() {
		return pb.Role_ROLE_OWNER
	}
	for _, m := range c.Teams {
		if m.TeamID == team {
			return m.Role
		}
	}
	return pb.Role_ROLE_UNSPECIFIED
}

// Admin says that the caller may do everything.
func (c Caller) Admin() bool { return c.Platform == pb.PlatformRole_PLATFORM_ROLE_ADMIN }

// SeesAll says that the caller may read everything.
func (c Caller) SeesAll() bool {
	return c.Admin() || c.Platform == pb.PlatformRole_PLATFORM_ROLE_AUDITOR
}

// TeamIDs are the teams that the caller belongs to.
func (c Caller) TeamIDs() []uuid.UUID {
	ids := make([]uuid.UUID, 0, len(c.Teams))
	for _, m := range c.Teams {
		ids = append(ids, m.TeamID)
	}
	return ids
}

// Home is the vendor account that all of the caller's teams create in; "" if there is no
// such one.
func (c Caller) Home() string {
	home := ""
	for i, m := range c.Teams {
		if i > 0 && m.Account != home {
			return ""
		}
		home = m.Account
	}
	return home
}

type contextKey struct{}

// With puts the caller into a context. Only the edge does: below the handlers the
// caller is an argument.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// From is the caller of a context; false if nobody was identified.
func From(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(contextKey{}).(Caller)
	return c, ok
}
