package identity_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

const people = `INSERT INTO principals (kind, issuer, subject, name, platform_role) VALUES
	('PERSON', 'a', 'u1', 'paula@payments.example', NULL),
	('PERSON', 'a', 'u2', 'root@dev.example', 'ADMIN'),
	('PERSON', 'a', 'u3', 'audrey@dev.example', 'AUDITOR'),
	('PERSON', 'a', 'u4', 'twin@dev.example', NULL),
	('PERSON', 'b', 'u5', 'twin@dev.example', NULL),
	('PERSON', 'a', 'u6', 'gone@dev.example', NULL)`

// TestAServiceActsForPeople with the lower of both rights in everything.
func TestAServiceActsForPeople(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store := db.New(pool)
	for _, name := range []string{"payments", "search", "legal"} {
		team(t, store, name)
	}
	exec(t, pool, people)
	exec(t, pool, "UPDATE principals SET disabled_at = now() WHERE subject = 'u6'")
	exec(t, pool, `INSERT INTO memberships (team_id, principal_id, role) SELECT t.id, p.id, 'OWNER' FROM teams t, principals p
		WHERE t.name IN ('payments', 'search') AND p.subject = 'u1'`)
	may := true
	service := func(spec identity.TokenSpec) string {
		spec.MayActForOthers = &may
		return mustCreate(t, store, spec).Secret
	}
	const auditor, admin = pb.PlatformRole_PLATFORM_ROLE_AUDITOR, pb.PlatformRole_PLATFORM_ROLE_ADMIN
	console := service(identity.TokenSpec{Service: "console", Team: "payments", Role: pb.Role_ROLE_OPERATOR})
	service(identity.TokenSpec{Service: "console", Team: "legal", Role: pb.Role_ROLE_OWNER})
	portal := service(identity.TokenSpec{Service: "portal", Platform: admin})
	viewer := service(identity.TokenSpec{Service: "viewer", Platform: auditor})
	plain := mustCreate(t, store, identity.TokenSpec{Service: "plain", Platform: admin}).Secret
	authenticator := identity.NewAuthenticator(store)

	for name, tc := range map[string]struct {
		token    string
		person   []string
		who      string // "" is refused
		roles    []string
		platform pb.PlatformRole
	}{
		"for a member, by email":           {console, []string{"paula@payments.example"}, "paula@payments.example", []string{"payments OPERATOR"}, 0},
		"for a member, by subject":         {console, []string{"u1"}, "paula@payments.example", []string{"payments OPERATOR"}, 0},
		"for an administrator":             {console, []string{"root@dev.example"}, "root@dev.example", []string{"legal OWNER", "payments OPERATOR"}, 0},
		"for an auditor":                   {console, []string{"audrey@dev.example"}, "audrey@dev.example", nil, 0},
		"an administrator for a member":    {portal, []string{"u1"}, "paula@payments.example", []string{"payments OWNER", "search OWNER"}, 0},
		"an administrator for another":     {portal, []string{"root@dev.example"}, "root@dev.example", nil, admin},
		"an administrator for an auditor":  {portal, []string{"u3"}, "audrey@dev.example", nil, auditor},
		"an auditor for an administrator":  {viewer, []string{"u2"}, "root@dev.example", nil, auditor},
		"an auditor for a member":          {viewer, []string{"u1"}, "paula@payments.example", nil, 0},
		"without the right":                {plain, []string{"u1"}, "", nil, 0},
		"for nobody who is known":          {console, []string{"nobody@dev.example"}, "", nil, 0},
		"for one of two of the same name":  {console, []string{"twin@dev.example"}, "", nil, 0},
		"for somebody who is disabled":     {console, []string{"gone@dev.example"}, "", nil, 0},
		"for a service":                    {console, []string{"portal"}, "", nil, 0},
		"for itself":                       {console, []string{"console"}, "", nil, 0},
		"for two":                          {console, []string{"u1", "u2"}, "", nil, 0},
		"for an empty name":                {console, []string{""}, "", nil, 0},
		"for what cannot be asked":         {console, []string{"\xff\xfe"}, "", nil, 0},
		"for a pattern":                    {console, []string{"%"}, "", nil, 0},
		"with the same name in other caps": {console, []string{"PAULA@payments.example"}, "", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := authenticator.Authenticate(t.Context(), identity.Credentials{Token: tc.token, OnBehalfOf: tc.person})
			if tc.who == "" {
				if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED {
					t.Fatalf("error %v, want PERMISSION_DENIED", err)
				}
				if !got.Service || got.ActingService != "" {
					t.Errorf("refused was %+v, want the service", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Name != tc.who || got.Service || got.ActingService == "" || got.Platform != tc.platform {
				t.Errorf("%+v, want %s with %v", got, tc.who, tc.platform)
			}
			if diff := cmp.Diff(tc.roles, roles(got)); diff != "" {
				t.Errorf("roles (-want +got):\n%s", diff)
			}
		})
	}
	// The same token without a person is itself, and the right can be taken away.
	got, err := authenticator.Authenticate(t.Context(), identity.Credentials{Token: console})
	if err != nil || got.Name != "console" || !got.Service || got.ActingService != "" {
		t.Errorf("%+v, %v", got, err)
	}
	may = false
	service(identity.TokenSpec{Service: "console", Platform: auditor})
	_, err = authenticator.Authenticate(t.Context(), identity.Credentials{Token: console, OnBehalfOf: []string{"u1"}})
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED {
		t.Errorf("once the right is gone: %v", err)
	}
}

// TestPeopleDoNotActForOthers, whatever their row says.
func TestPeopleDoNotActForOthers(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	exec(t, pool, people)
	idp := newProvider(t)
	exec(t, pool, "INSERT INTO principals (kind, issuer, subject, name, platform_role, may_act_for_others) VALUES ('PERSON', '"+idp.URL+"', 'x', 'x@x.example', 'ADMIN', true)")
	c := idp.token(t, "x", nil)
	c.OnBehalfOf = []string{"u1"}
	_, err := identity.New(db.New(pool), identity.Config{Issuers: idp.believed()}).Authenticate(t.Context(), c)
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED {
		t.Errorf("error %v", err)
	}
}
