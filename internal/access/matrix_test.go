package access_test

import (
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// What a call is about, seen from the team payments.
const (
	own       = "own"
	another   = "another team's"
	unclaimed = "unclaimed"
	nowhere   = "missing"
)

// TestTheWholeMatrix calls every method as everybody about everything, and compares with what
// the method's own options say. Nothing but those has to be written for a new method.
func TestTheWholeMatrix(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.guard = access.New(db.New(w.pool), everything, slog.New(slog.DiscardHandler))
	w.callers["other owner"] = identity.Caller{
		PrincipalID: uuid.New(), Name: "other owner", Teams: []identity.Membership{{TeamID: w.teams["search"], Team: "search", Role: pb.Role_ROLE_OWNER}},
	}
	frozen := newWorld(t)
	frozen.guard = access.New(db.New(frozen.pool), everything, slog.New(slog.DiscardHandler))
	if _, err := frozen.pool.Exec(t.Context(), "INSERT INTO freezes (team_id, actor, reason) VALUES ($1, 'ada', 'test')", frozen.teams["payments"]); err != nil {
		t.Fatal(err)
	}
	cells := 0
	for _, m := range methods.API().All() {
		t.Run(string(m.Name), func(t *testing.T) {
			for _, who := range []string{"viewer", "operator", "owner", "other owner", "auditor", "admin"} {
				for _, what := range []string{own, another, unclaimed, nowhere} {
					req := w.about(t, m, what)
					if req == nil {
						continue // teams and operations are always somebody's
					}
					_, err := w.guard.Check(t.Context(), w.callers[who], m, req)
					if got, want := answerOf(err), expected(m, who, what); got != want {
						t.Errorf("%s of %s: %s (%v), want %s", who, what, got, err, want)
					}
					cells++
				}
			}
			if req := frozen.about(t, m, own); req != nil {
				_, err := frozen.guard.Check(t.Context(), frozen.callers["owner"], m, req)
				want := expected(m, "owner", own)
				if want == allowed && len(m.Access.GetTargets()) > 0 && !readsOnly(m) && !m.Access.GetWhileFrozen() {
					want = pb.ErrorReason_ERROR_REASON_FROZEN
				}
				if got := answerOf(err); got != want {
					t.Errorf("owner of a frozen team: %s (%v), want %s", got, err, want)
				}
				cells++
			}
		})
	}
	t.Logf("%d cells of %d methods", cells, len(methods.API().All()))
	if cells < 20*len(methods.API().All()) {
		t.Error("too few cells: something was left out")
	}
}

func readsOnly(m *methods.Method) bool {
	return m.Access.GetAction() == pb.Action_ACTION_LIST || m.Access.GetAction() == pb.Action_ACTION_READ
}

// answerOf is the reason of a refusal.
func answerOf(err error) pb.ErrorReason {
	if err == nil {
		return allowed
	}
	return fault.ReasonOf(err)
}

// expected is what the options of a method promise, worked out without the guard.
func expected(m *methods.Method, who, what string) pb.ErrorReason {
	switch m.Access.GetScope() {
	case pb.Scope_SCOPE_VISIBLE, pb.Scope_SCOPE_SELF:
		return allowed
	case pb.Scope_SCOPE_ADMIN, pb.Scope_SCOPE_AUDITOR:
		if who == "admin" || who == "auditor" && m.Access.GetScope() == pb.Scope_SCOPE_AUDITOR {
			return allowed
		}
		return forbidden
	case pb.Scope_SCOPE_UNSPECIFIED:
	}
	if what == nowhere {
		return missing
	}
	role := map[string]pb.Role{"viewer": pb.Role_ROLE_VIEWER, "operator": pb.Role_ROLE_OPERATOR, "owner": pb.Role_ROLE_OWNER}[who]
	switch {
	case who == "admin", who == "auditor" && readsOnly(m):
		return allowed
	case who == "auditor":
		return forbidden // they see that it is there
	case what == unclaimed, what == own && who == "other owner", what == another && who != "other owner":
		return missing
	case who == "other owner", role >= m.Access.GetTargets()[0].GetRole():
		return allowed
	default:
		return forbidden
	}
}

// about is a request of a method about something; nil if there is no such thing of its kind.
func (w *world) about(t *testing.T, m *methods.Method, what string) proto.Message {
	t.Helper()
	req := m.Input.New()
	if len(m.Access.GetTargets()) == 0 {
		return req.Interface()
	}
	target := m.Access.GetTargets()[0]
	kind := target.GetKind()
	if field := target.GetKindField(); field != "" {
		kind = "agent"
		put(t, req, field, kind)
	}
	team := map[string]string{own: "payments", another: "search"}[what]
	value := unknownAgent
	switch {
	case what == nowhere && kind == "team":
		value = "nowhere"
	case what == nowhere:
	case kind == "team" && team == "", kind == "operation" && team == "":
		return nil
	case kind == "team":
		value = team
	case kind == "operation":
		value = uuid.NewString()
		w.run(t, `INSERT INTO operations (id, account, team_id, actor, method, resource_kind, order_key, request_digest, request, lane, virtual_start)
			SELECT $1, 'default', id, 'x', 'm', 'agent', 'k', '', '', 2, 0 FROM teams WHERE name = $2`, value, team)
	default:
		value = uuid.NewString()
		w.run(t, "INSERT INTO resources (kind, uuid, team_id) VALUES ($1, $2, (SELECT id FROM teams WHERE name = $3))", kind, value, team)
	}
	put(t, req, target.GetField(), value)
	return req.Interface()
}

func (w *world) run(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// put sets the text at a path, or the one element of a list of texts.
func put(t *testing.T, m protoreflect.Message, path, value string) {
	t.Helper()
	for {
		name, rest := path, ""
		for i := range path {
			if path[i] == '.' {
				name, rest = path[:i], path[i+1:]
				break
			}
		}
		fd := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		if fd == nil {
			t.Fatalf("%s has no field %q", m.Descriptor().Name(), name)
		}
		switch {
		case rest != "":
			m, path = m.Mutable(fd).Message(), rest
			continue
		case fd.IsList():
			m.Mutable(fd).List().Append(protoreflect.ValueOfString(value))
		default:
			m.Set(fd, protoreflect.ValueOfString(value))
		}
		return
	}
}
