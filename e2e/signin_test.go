package e2e_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/go-jose/go-jose/v4"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/identity/oidctest"
)

// TestPeopleSignIn goes through the life of an OIDC provider with two replicas: its people
// come, it exchanges its key, it goes away.
func TestPeopleSignIn(t *testing.T) {
	w := newWorld(t)
	newKey := func(id string, algorithm jose.SignatureAlgorithm) oidctest.Key {
		key, err := oidctest.NewKey(id, algorithm)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	first, next, last := newKey("first", jose.RS256), newKey("second", jose.ES256), newKey("third", jose.ES256)
	idp, err := oidctest.Start(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	idp.Away(true) // when the service starts
	config := filepath.Join(t.TempDir(), "issuers.json")
	if err := os.WriteFile(config, []byte(`{"issuers": [{"issuer": "`+idp.URL+`", "audience": "agentsvc", "grants": [
		{"group": "payments-ops", "team": "payments", "role": "operator"}, {"group": "auditors", "platform_role": "auditor"}]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	replicas := []*service{w.serve(t, "AGENTSVC_OIDC_FILE="+config), w.serve(t, "AGENTSVC_OIDC_FILE="+config)}
	token := func(key oidctest.Key, more map[string]any) string {
		claims := map[string]any{"email": "paula@payments.example", "email_verified": true, "groups": []string{"payments-ops"}}
		maps.Copy(claims, more)
		signed, err := oidctest.Sign(key, idp.Claims(time.Now(), "agentsvc", "1234", claims))
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	everywhere := func(what, token string, want connect.Code) {
		t.Helper()
		for _, s := range replicas {
			got, err := s.as(t, token).teams.WhoAmI(t.Context(), &pb.WhoAmIRequest{})
			switch {
			case want != 0:
				wantCode(t, err, want)
				if !strings.Contains(err.Error(), "the credentials are not accepted") {
					t.Errorf("%s: told %v", what, err)
				}
			case err != nil:
				t.Errorf("%s: %v", what, err)
			case got.GetName() != "paula@payments.example" || got.GetService() || len(got.GetMemberships()) != 1 ||
				got.GetMemberships()[0].GetTeam() != "payments" || got.GetMemberships()[0].GetRole() != pb.Role_ROLE_OPERATOR:
				t.Errorf("%s: %v", what, got)
			}
		}
	}
	const good connect.Code = 0
	old := token(first, nil)
	everywhere("the provider was away all along", old, connect.CodeUnauthenticated)
	idp.Away(false)
	everywhere("it is there", old, good)
	everywhere("a token that has expired", token(first, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), connect.CodeUnauthenticated)
	everywhere("a token for somebody else", token(first, map[string]any{"aud": "console"}), connect.CodeUnauthenticated)

	// What she does is hers in the history.
	paula := replicas[0].as(t, old)
	agent := newAgent(t, paula, "of-paula")
	if n := w.count(t, "SELECT count(*) FROM audit_events WHERE actor = 'paula@payments.example' AND resource_uuid = $1 AND acting_service IS NULL", agent); n == 0 {
		t.Error("the history does not have her name")
	}

	idp.Publish([]oidctest.Key{next})
	everywhere("the key was exchanged", token(next, nil), good)
	everywhere("the old key is gone, and so is what was signed with it", old, connect.CodeUnauthenticated)

	if err := idp.Stop(); err != nil {
		t.Fatal(err)
	}
	everywhere("the provider is gone, its key is known", token(next, map[string]any{"jti": "2"}), good)
	everywhere("the provider is gone, the key is new", token(last, nil), connect.CodeUnauthenticated)
}

// TestWhatIsTakenAwayIsGoneEverywhere revokes on the command line, while three replicas
// remember the caller, and has them refuse long before they would forget by themselves.
func TestWhatIsTakenAwayIsGoneEverywhere(t *testing.T) {
	w := newWorld(t)
	replicas := []*service{w.serve(t), w.serve(t), w.serve(t)}
	token := w.token(t, "payments")
	for _, s := range replicas {
		for range 3 {
			if _, err := s.as(t, token).teams.WhoAmI(t.Context(), &pb.WhoAmIRequest{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(token, "ast_"), "_")
	run(t, environment("DATABASE_URL="+w.database), "token", "revoke", id)
	at := time.Now()
	for _, s := range replicas {
		awaitWithin(t, 10*time.Second, time.Millisecond, "the token is refused", func() bool {
			_, err := s.as(t, token).teams.WhoAmI(t.Context(), &pb.WhoAmIRequest{})
			return connect.CodeOf(err) == connect.CodeUnauthenticated
		})
	}
	t.Logf("refused by all replicas %s after the command had ended", time.Since(at))
}

// TestAServiceActsForAPerson makes a change on behalf of one, whose worker tells the
// history of both.
func TestAServiceActsForAPerson(t *testing.T) {
	w := newWorld(t)
	s := w.serve(t)
	if _, err := w.rows.Exec(t.Context(), `WITH p AS (INSERT INTO principals (kind, issuer, subject, name)
		VALUES ('PERSON', 'https://login.example.com', '1234', 'paula@payments.example') RETURNING id)
		INSERT INTO memberships (team_id, principal_id, role) SELECT t.id, p.id, 'OPERATOR' FROM teams t, p WHERE t.name = 'payments'`); err != nil {
		t.Fatal(err)
	}
	console := run(t, environment("DATABASE_URL="+w.database), "token", "create", "--name", "console", "--platform", "admin", "--may-act-for-others")
	acting := func(person string) context.Context {
		ctx, call := connect.NewClientContext(t.Context())
		call.RequestHeader().Set("Agentsvc-On-Behalf-Of", person)
		return ctx
	}
	const paula = "paula@payments.example"
	me, err := s.as(t, console).teams.WhoAmI(acting(paula), &pb.WhoAmIRequest{})
	if err != nil || me.GetName() != paula || me.GetPlatformRole() != 0 || len(me.GetMemberships()) != 1 {
		t.Fatalf("she is %v, %v", me, err)
	}
	made, err := s.as(t, console).agents.CreateAgent(acting(paula), agentRequest("on-behalf", nil))
	if err != nil {
		t.Fatal(err)
	}
	outcomes := column[string](t, w, `SELECT outcome FROM audit_events WHERE operation_id = $1 AND actor = 'paula@payments.example' AND acting_service = 'console'
		ORDER BY recorded_at`, made.GetOperation().GetId())
	if strings.Join(outcomes, " ") != "ACCEPTED SUCCEEDED" {
		t.Errorf("the history has of both: %v", outcomes)
	}
	_, err = s.as(t, console).teams.WhoAmI(acting("sofia@search.example"), &pb.WhoAmIRequest{})
	wantCode(t, err, connect.CodePermissionDenied)
	_, err = s.as(t, w.payments).teams.WhoAmI(acting(paula), &pb.WhoAmIRequest{})
	wantCode(t, err, connect.CodePermissionDenied)
}
