package team_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/team"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type world struct {
	pool  *pgxpool.Pool
	teams *team.Registry
	auth  *identity.Authenticator
}

func newWorld(t *testing.T) *world {
	t.Helper()
	pool := dbtest.New(t)
	store := db.New(pool)
	return &world{pool: pool, teams: team.New(store, listing.NewTokens([]byte(strings.Repeat("k", 32)))), auth: identity.NewAuthenticator(store)}
}

func admin() identity.Caller {
	return identity.Caller{PrincipalID: uuid.New(), Name: "ada@example.com", Platform: pb.PlatformRole_PLATFORM_ROLE_ADMIN}
}

// id is the unique id of a team, as the access check would have found it.
func (w *world) id(t *testing.T, name string) (id uuid.UUID) {
	t.Helper()
	if err := w.pool.QueryRow(t.Context(), "SELECT id FROM teams WHERE name = $1", name).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func (w *world) make(t *testing.T, name string) {
	t.Helper()
	if _, err := w.teams.Create(t.Context(), admin(), &pb.CreateTeamRequest{Name: name}); err != nil {
		t.Fatal(err)
	}
}

// person is the unique id of somebody who has called before.
func (w *world) person(t *testing.T, name string) (id string) {
	t.Helper()
	err := w.pool.QueryRow(t.Context(), "INSERT INTO principals (kind, issuer, subject, name) VALUES ('PERSON', 'idp', gen_random_uuid(), $1) RETURNING id", name).Scan(&id)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (w *world) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	if err := w.pool.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func refused(t *testing.T, err error, want pb.ErrorReason) {
	t.Helper()
	if err == nil || fault.ReasonOf(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestATeamFromCreationToArchive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made, err := w.teams.Create(t.Context(), admin(), &pb.CreateTeamRequest{Name: "blue", Description: "the blue ones", Reason: "new product"})
	if err != nil || made.GetWeight() != 1 || made.GetBacklogLimit() != 1000 || made.GetAccount() != "default" {
		t.Fatalf("made %v, %v", made, err)
	}
	_, err = w.teams.Create(t.Context(), admin(), &pb.CreateTeamRequest{Name: "blue"})
	refused(t, err, pb.ErrorReason_ERROR_REASON_ALREADY_EXISTS)
	_, err = w.teams.Create(t.Context(), admin(), &pb.CreateTeamRequest{Name: "green", Account: "nowhere"})
	refused(t, err, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST)

	update := &pb.UpdateTeamRequest{Team: "blue", Weight: 3, Description: "not in the mask", UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"weight"}}}
	for range 2 { // the second changes nothing
		if made, err = w.teams.Update(t.Context(), admin(), update); err != nil || made.GetWeight() != 3 || made.GetDescription() != "the blue ones" {
			t.Fatalf("updated to %v, %v", made, err)
		}
	}
	for field, bad := range map[string]*pb.UpdateTeamRequest{
		"weight":      {Team: "blue", UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"weight"}}},
		"account":     {Team: "blue", Account: "nowhere", UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"account"}}},
		"update_mask": {Team: "blue", UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name"}}},
	} {
		_, err := w.teams.Update(t.Context(), admin(), bad)
		refused(t, err, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST)
		if err != nil && !strings.HasPrefix(err.Error(), field) {
			t.Errorf("the refusal is not about %s: %v", field, err)
		}
	}

	if _, err := w.pool.Exec(t.Context(), "INSERT INTO resources (kind, uuid, team_id) SELECT 'agent', gen_random_uuid(), id FROM teams WHERE name = 'blue'"); err != nil {
		t.Fatal(err)
	}
	_, err = w.teams.Archive(t.Context(), admin(), &pb.ArchiveTeamRequest{Team: "blue"})
	refused(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	if _, err := w.pool.Exec(t.Context(), "UPDATE resources SET deleted_at = now()"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if made, err = w.teams.Archive(t.Context(), admin(), &pb.ArchiveTeamRequest{Team: "blue", Reason: "over"}); err != nil || made.GetArchiveTime() == nil {
			t.Fatalf("archived as %v, %v", made, err)
		}
	}
	_, err = w.teams.Update(t.Context(), admin(), update)
	refused(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	listed, err := w.teams.List(t.Context(), admin(), &pb.ListTeamsRequest{Filter: `name = "blue"`})
	if err != nil || len(listed.GetTeams()) != 0 {
		t.Errorf("an archived team is listed: %v, %v", listed, err)
	}
	if listed, err = w.teams.List(t.Context(), admin(), &pb.ListTeamsRequest{ShowArchived: true}); err != nil || len(listed.GetTeams()) != 2 {
		t.Errorf("with archived ones: %v, %v", listed, err)
	}
	if n := w.count(t, "SELECT count(*) FROM audit_events WHERE resource_kind = 'team' AND resource_name = 'blue'"); n != 3 {
		t.Errorf("the history has %d changes of the team, want that it was made, got another weight, and was archived", n)
	}
}

func TestTheLastOwnerStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make(t, "blue")
	one, two := w.person(t, "one@example.com"), w.person(t, "two@example.com")
	set := func(member string, role pb.Role) error {
		_, err := w.teams.SetMember(t.Context(), admin(), &pb.SetMemberRequest{Team: "blue", Member: member, Role: role})
		return err
	}
	for _, err := range []error{set("one@example.com", pb.Role_ROLE_OWNER), set(two, pb.Role_ROLE_OWNER)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// Both go at the same moment, again and again: one of them stays each time.
	for range 10 {
		var wg sync.WaitGroup
		for _, who := range []string{one, two} {
			wg.Go(func() {
				_ = w.teams.RemoveMember(t.Context(), admin(), &pb.RemoveMemberRequest{Team: "blue", Member: who}) // one of two is refused
			})
		}
		wg.Wait()
		if n := w.count(t, "SELECT count(*) FROM memberships WHERE role = 'OWNER'"); n != 1 {
			t.Fatalf("%d owners are left", n)
		}
		for _, who := range []string{one, two} {
			if err := set(who, pb.Role_ROLE_OWNER); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.teams.RemoveMember(t.Context(), admin(), &pb.RemoveMemberRequest{Team: "blue", Member: two}); err != nil {
		t.Fatal(err)
	}
	refused(t, set(one, pb.Role_ROLE_OPERATOR), pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	refused(t, w.teams.RemoveMember(t.Context(), admin(), &pb.RemoveMemberRequest{Team: "blue", Member: two}), pb.ErrorReason_ERROR_REASON_NOT_FOUND)

	w.person(t, "one@example.com")
	err := set("one@example.com", pb.Role_ROLE_VIEWER)
	refused(t, err, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST)
	if err != nil && !strings.Contains(err.Error(), one) {
		t.Errorf("whom the name may mean is not told: %v", err)
	}
	refused(t, set("nobody@example.com", pb.Role_ROLE_VIEWER), pb.ErrorReason_ERROR_REASON_INVALID_REQUEST)
	members, err := w.teams.Members(t.Context(), w.id(t, "blue"), &pb.ListMembersRequest{Team: "blue"})
	if err != nil || len(members.GetMembers()) != 1 || members.GetMembers()[0].GetPrincipal() != one || members.GetMembers()[0].GetRole() != pb.Role_ROLE_OWNER {
		t.Errorf("the members are %v, %v", members, err)
	}
}

// A service that is the last owner cannot be made less by a token with a lower role.
func TestTheLastOwnerStaysWithAnotherToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make(t, "blue")
	create := func(role pb.Role) error {
		_, err := w.teams.CreateToken(t.Context(), admin(), &pb.CreateServiceTokenRequest{
			Team: "blue", Service: "keeper", Role: role, Lifetime: durationpb.New(time.Hour),
		})
		return err
	}
	if err := create(pb.Role_ROLE_OWNER); err != nil {
		t.Fatal(err)
	}
	refused(t, create(pb.Role_ROLE_VIEWER), pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	refused(t, create(pb.Role_ROLE_OPERATOR), pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	if err := create(pb.Role_ROLE_OWNER); err != nil {
		t.Errorf("it cannot have another token as what it is: %v", err)
	}
	owners, tokens := "SELECT count(*) FROM memberships WHERE role = 'OWNER'", "SELECT count(*) FROM service_tokens"
	if a, b := w.count(t, owners), w.count(t, tokens); a != 1 || b != 2 {
		t.Errorf("%d owners with %d tokens, want one with the two that were not refused", a, b)
	}
	other := w.person(t, "one@example.com")
	if _, err := w.teams.SetMember(t.Context(), admin(), &pb.SetMemberRequest{Team: "blue", Member: other, Role: pb.Role_ROLE_OWNER}); err != nil {
		t.Fatal(err)
	}
	if err := create(pb.Role_ROLE_VIEWER); err != nil {
		t.Errorf("beside another owner it cannot be made less: %v", err)
	}
}

func TestTokensOfATeamsServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make(t, "blue")
	w.make(t, "red")
	create := func(name, service string) (*pb.CreateServiceTokenResponse, error) {
		return w.teams.CreateToken(t.Context(), admin(), &pb.CreateServiceTokenRequest{
			Team: name, Service: service, Role: pb.Role_ROLE_OPERATOR, Lifetime: durationpb.New(time.Hour), Reason: "nightly job",
		})
	}
	made, err := create("blue", "blue-bot")
	if err != nil {
		t.Fatal(err)
	}
	caller, err := w.auth.Authenticate(t.Context(), identity.Credentials{Token: made.GetSecret()})
	if err != nil || caller.Name != "blue-bot" || len(caller.Teams) != 1 || caller.Teams[0].Role != pb.Role_ROLE_OPERATOR {
		t.Fatalf("the token speaks for %+v, %v", caller, err)
	}
	// With a token for the service another team's owners could act in this one.
	_, err = create("red", "blue-bot")
	refused(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	for _, sql := range []string{
		"INSERT INTO principals (kind, subject, name, platform_role) VALUES ('SERVICE', 'reports', 'reports', 'AUDITOR')",
		"INSERT INTO memberships (team_id, principal_id, role) SELECT t.id, p.id, 'VIEWER' FROM teams t, principals p WHERE t.name = 'red' AND p.name = 'reports'",
	} {
		if _, err := w.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	_, err = create("red", "reports")
	refused(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	if _, err := w.pool.Exec(t.Context(), "UPDATE principals SET platform_role = NULL, may_act_for_others = true WHERE name = 'reports'"); err != nil {
		t.Fatal(err)
	}
	_, err = create("red", "reports")
	refused(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)

	// Nor once an administrator has given the team's own service more than the team has.
	if _, err := w.pool.Exec(t.Context(), "UPDATE principals SET platform_role = 'AUDITOR' WHERE name = 'blue-bot'"); err != nil {
		t.Fatal(err)
	}
	_, err = create("blue", "blue-bot")
	refused(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)

	listed, err := w.teams.Tokens(t.Context(), w.id(t, "blue"), &pb.ListServiceTokensRequest{Team: "blue"})
	if err != nil || len(listed.GetTokens()) != 1 || listed.GetTokens()[0].GetService() != "blue-bot" {
		t.Errorf("the team's tokens are %v, %v", listed, err)
	}
	if listed, err = w.teams.Tokens(t.Context(), w.id(t, "red"), &pb.ListServiceTokensRequest{Team: "red"}); err != nil || len(listed.GetTokens()) != 0 {
		t.Errorf("another team's tokens are %v, %v", listed, err)
	}
	_, err = w.teams.RevokeToken(t.Context(), admin(), &pb.RevokeServiceTokenRequest{Team: "red", Token: made.GetToken().GetId()})
	refused(t, err, pb.ErrorReason_ERROR_REASON_NOT_FOUND)
	for range 2 {
		revoked, err := w.teams.RevokeToken(t.Context(), admin(), &pb.RevokeServiceTokenRequest{Team: "blue", Token: made.GetToken().GetId()})
		if err != nil || revoked.GetRevokeTime() == nil {
			t.Fatalf("revoked as %v, %v", revoked, err)
		}
	}
	_, err = w.auth.Authenticate(t.Context(), identity.Credentials{Token: made.GetSecret()})
	refused(t, err, pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED)
	if n := w.count(t, "SELECT count(*) FROM audit_events WHERE resource_kind = 'service_token'"); n != 2 {
		t.Errorf("the history has %d events of the token", n)
	}
	secret := strings.SplitN(made.GetSecret(), "_", 3)[2]
	if n := w.count(t, "SELECT count(*) FROM audit_events WHERE audit_events::text LIKE '%' || $1 || '%'", secret); n != 0 {
		t.Error("the secret is in the history")
	}
}

func TestFreezes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make(t, "blue")
	first, err := w.teams.Freeze(t.Context(), admin(), &pb.FreezeRequest{Team: "blue", Reason: "leaked key"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.teams.Freeze(t.Context(), admin(), &pb.FreezeRequest{Team: "blue", Reason: "another"})
	if err != nil || again.GetReason() != first.GetReason() || !again.GetFreezeTime().AsTime().Equal(first.GetFreezeTime().AsTime()) {
		t.Errorf("freezing twice answers %v after %v, %v", again, first, err)
	}
	if _, err := w.teams.Freeze(t.Context(), admin(), &pb.FreezeRequest{Reason: "everything"}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.teams.Get(t.Context(), "blue"); err != nil || got.GetFreeze().GetReason() != "leaked key" {
		t.Errorf("the team is %v, %v", got, err)
	}
	if err := w.teams.Unfreeze(t.Context(), admin(), &pb.UnfreezeRequest{Team: "blue", Reason: "rotated"}); err != nil {
		t.Fatal(err)
	}
	refused(t, w.teams.Unfreeze(t.Context(), admin(), &pb.UnfreezeRequest{Team: "blue"}), pb.ErrorReason_ERROR_REASON_NOT_FOUND)
	if n := w.count(t, "SELECT count(*) FROM freezes WHERE lifted_at IS NULL AND team_id IS NULL"); n != 1 {
		t.Error("the freeze of everything has ended with the team's")
	}
	if n := w.count(t, "SELECT count(*) FROM audit_events WHERE method LIKE '%reeze'"); n != 3 {
		t.Errorf("the history has %d events of freezes", n)
	}
}

func TestOneOwnerCannotDoWithoutTheSecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make(t, "blue")
	owner := identity.Caller{Name: "ada@example.com", Teams: []identity.Membership{{TeamID: w.id(t, "blue"), Team: "blue", Role: pb.Role_ROLE_OWNER}}}
	set := func(by identity.Caller, rules ...pb.ApprovalRule) error {
		_, err := w.teams.SetApprovals(t.Context(), by, &pb.SetTeamApprovalsRequest{Team: "blue", Approvals: rules})
		return err
	}
	deleted, revealed := pb.ApprovalRule_APPROVAL_RULE_DELETE_AGENT, pb.ApprovalRule_APPROVAL_RULE_REVEAL_KEY
	if err := set(owner, deleted); err != nil {
		t.Fatal(err)
	}
	if err := set(owner, revealed, deleted); err != nil {
		t.Errorf("an owner cannot want more approvals: %v", err)
	}
	refused(t, set(owner), pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	refused(t, set(owner, revealed), pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	if got, err := w.teams.Get(t.Context(), "blue"); err != nil || len(got.GetApprovals()) != 2 {
		t.Errorf("the team is %v, %v", got, err)
	}
	if err := set(admin()); err != nil {
		t.Errorf("an administrator cannot end approvals: %v", err)
	}
}
