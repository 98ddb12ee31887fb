package access_test

import (
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/access/accesstest"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// TestTheWholeMatrix asks the guard about every method as everybody about everything, and
// compares with what the method's own options say. Nothing but those has to be written for a
// new method.
func TestTheWholeMatrix(t *testing.T) {
	t.Parallel()
	w, frozen := newWorld(t), newWorld(t)
	for _, w := range []*world{w, frozen} {
		w.guard = access.New(db.New(w.pool), everything, slog.New(slog.DiscardHandler))
	}
	frozen.run(t, "INSERT INTO freezes (team_id, actor, reason) VALUES ($1, 'ada', 'test')", frozen.teams["payments"])
	w.callers[string(accesstest.OtherOwner)] = identity.Caller{
		PrincipalID: uuid.New(), Name: "other owner", Teams: []identity.Membership{{TeamID: w.teams["search"], Team: "search", Role: pb.Role_ROLE_OWNER}},
	}
	frozen.callers[string(accesstest.FrozenOwner)] = frozen.callers["owner"]
	cells := 0
	for _, m := range methods.API().All() {
		t.Run(string(m.Name), func(t *testing.T) {
			for _, who := range accesstest.Callers() {
				in := w
				if who == accesstest.FrozenOwner {
					in = frozen
				}
				for _, what := range accesstest.Things() {
					req := in.about(t, m, what)
					if who == accesstest.Nobody || req == nil {
						continue // nobody comes as far, and teams and operations are always somebody's
					}
					_, err := in.guard.Check(t.Context(), in.callers[string(who)], m, req)
					if got, want := answerOf(err), accesstest.Expected(m, who, what); got != want {
						t.Errorf("%s of %s: %s (%v), want %s", who, what, got, err, want)
					}
					cells++
				}
			}
		})
	}
	t.Logf("%d cells of %d methods", cells, len(methods.API().All()))
	if cells < 20*len(methods.API().All()) {
		t.Error("too few cells: something was left out")
	}
}

// answerOf is the reason of a refusal.
func answerOf(err error) pb.ErrorReason {
	if err == nil {
		return allowed
	}
	return fault.ReasonOf(err)
}

// about is a request of a method about something; nil if there is no such thing of its kind.
func (w *world) about(t *testing.T, m *methods.Method, what accesstest.What) proto.Message {
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
	team := map[accesstest.What]string{accesstest.Own: "payments", accesstest.Another: "search"}[what]
	value := unknownAgent
	switch {
	case what == accesstest.Missing && kind == "team":
		value = "nowhere"
	case what == accesstest.Missing:
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

func put(t *testing.T, m protoreflect.Message, path, value string) {
	t.Helper()
	if err := accesstest.Put(m, path, value); err != nil {
		t.Fatal(err)
	}
}

func (w *world) run(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}
