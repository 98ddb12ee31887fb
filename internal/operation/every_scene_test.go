package operation_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// within is the bench as a subtest uses it.
func (b *bench) within(t testing.TB) *bench {
	t.Helper()
	inner := *b
	inner.t = t
	return &inner
}

// scene is where one change is made once.
type scene struct {
	*bench

	// name is in the names of all that is made here.
	name string
	// known are resources that the change has to do with.
	known map[string]known
}

// known is a resource that a scene has a name for.
type known struct {
	kind, uuid string
	// foreign: it does not belong to the caller's team.
	foreign bool
}

// note remembers a resource by its kind, and answers its uuid.
func (s *scene) note(kind, id string) string { return s.noteAs(kind, kind, id) }

func (s *scene) noteAs(name, kind, id string) string {
	s.t.Helper()
	mustID(s.t, id)
	s.known[name] = known{kind: kind, uuid: id}
	return id
}

// made makes a change without trouble, for what it leaves behind.
func made[R proto.Message](s *scene, req proto.Message, resp R) R {
	s.t.Helper()
	if err := s.engine.Change(s.t.Context(), s.caller, req, resp); err != nil {
		s.t.Fatalf("preparing with a %s: %v", req.ProtoReflect().Descriptor().Name(), err)
	}
	return resp
}

// answer is what a caller was answered.
type answer struct {
	request, response proto.Message
	err               error
	// operation is the one behind it.
	operation uuid.UUID
}

func (s *scene) change(m *methods.Method, request proto.Message) answer {
	s.t.Helper()
	return s.changeBy(s.engine, m, request)
}

func (s *scene) changeBy(engine *operation.Engine, m *methods.Method, request proto.Message) answer {
	s.t.Helper()
	a := answer{request: request, response: m.Output.New().Interface()}
	a.err = engine.Change(s.t.Context(), s.caller, request, a.response)
	id := methods.String(a.response, "operation.id")
	if failure, ok := errors.AsType[*fault.Error](a.err); ok {
		id = failure.Metadata["operation"]
	}
	a.operation, _ = uuid.Parse(id) // none: the history then has nothing of it
	return a
}

// mortal is the vendor to a worker that stops once it has the answer to a change.
type mortal struct {
	operation.Vendor

	method *methods.Method
	die    context.CancelFunc
}

func (v mortal) Do(ctx context.Context, m *methods.Method, req, resp proto.Message) (upstream.Reply, error) {
	reply, err := v.Vendor.Do(ctx, m, req, resp)
	if m == v.method {
		v.die()
		<-ctx.Done()
	}
	return reply, err
}

// dying makes a change by a worker that stops between the vendor's answer and its own
// commit. Another one takes over once the lease has run out; it goes on working for the
// outer bench until it is stopped.
func (s *scene) dying(outer *bench, m *methods.Method, request proto.Message) (a answer, stop func()) {
	s.t.Helper()
	heir := outer.another()
	answers := make(chan answer, 1)
	go func() { answers <- s.changeBy(heir, m, request) }()
	s.await("the change is queued", func() bool { return s.count("SELECT count(*) FROM operations WHERE state = 'QUEUED'") == 1 })

	ctx, die := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer die()
	cfg := outer.cfg
	cfg.Vendor, cfg.Drain, cfg.Worker = mortal{cfg.Vendor, m, die}, time.Nanosecond, "mortal"
	doomed, err := operation.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := doomed.Run(ctx); err == nil {
		s.t.Fatal("the worker left nothing behind")
	}
	if n := s.count("SELECT count(*) FROM operations WHERE state = 'RUNNING' AND leased_by = 'mortal' AND sent_at IS NOT NULL"); n != 1 {
		s.t.Fatalf("the worker left %d operations that were sent and not settled", n)
	}
	if _, err := s.pool.Exec(s.t.Context(), "UPDATE operations SET lease_expires_at = clock_timestamp() WHERE state = 'RUNNING'"); err != nil {
		s.t.Fatal(err)
	}
	stop = outer.start(heir)
	outer.engine = heir
	return <-answers, stop
}

// now is the time by the database's clock.
func (s *scene) now() *time.Time {
	s.t.Helper()
	now, err := s.store.ClockNow(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return &now
}

// sight is how things are before a change.
type sight struct {
	requests int
	// events are those of what happened elsewhere.
	events int
	counts map[string]int
}

func (s *scene) look() sight {
	s.t.Helper()
	return sight{requests: len(s.sim.Requests()), events: s.drift(), counts: s.counts()}
}

// drift is how often the history says that something happened elsewhere.
func (s *scene) drift() int {
	s.t.Helper()
	return s.count("SELECT count(*) FROM audit_events WHERE origin = 'UPSTREAM'")
}

// counts are how many there are at the vendor's, by what.
func (s *scene) counts() map[string]int {
	s.t.Helper()
	shown := httptest.NewRecorder()
	s.sim.ServeHTTP(shown, httptest.NewRequestWithContext(s.t.Context(), "GET", "/_sim/state", nil))
	var state struct {
		Counts map[string]int `json:"counts"`
	}
	if err := json.Unmarshal(shown.Body.Bytes(), &state); err != nil {
		s.t.Fatal(err)
	}
	for _, of := range []string{"requests", "effects"} { // not of what there is
		delete(state.Counts, of)
	}
	return state.Counts
}

// since is by how much there is more of what than before.
func (s *scene) since(before sight) map[string]int {
	s.t.Helper()
	more := s.counts()
	for what, n := range before.counts {
		more[what] -= n
	}
	maps.DeleteFunc(more, func(_ string, n int) bool { return n == 0 })
	return more
}

// effectsSince are the changes that the vendor made, by their methods.
func (s *scene) effectsSince(before sight) []string {
	s.t.Helper()
	byKey := map[string]string{}
	for _, m := range methods.API().All() {
		byKey[m.Verb+" "+m.Path] = shortName(m)
	}
	var made []string
	for _, r := range s.requestsSince(before) {
		if r.Effect != genaisim.NoEffect {
			made = append(made, byKey[r.Operation])
		}
	}
	return made
}

func (s *scene) requestsSince(before sight) []genaisim.Request {
	return s.sim.Requests()[before.requests:]
}

// hasSecret says whether a message can hold a secret.
func hasSecret(d protoreflect.MessageDescriptor, within []protoreflect.FullName) bool {
	if slices.Contains(within, d.FullName()) {
		return false
	}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		if methods.Secret(fd) || fd.Message() != nil && hasSecret(fd.Message(), append(within, d.FullName())) {
			return true
		}
	}
	return false
}

// variable are the forms of what is different each time.
func variable() map[string]*regexp.Regexp {
	return map[string]*regexp.Regexp{
		"UUID": regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`),
		"TIME": regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`),
		"HASH": regexp.MustCompile(`[0-9a-f]{40,64}`),
	}
}

// kindOf is the kind that a name such as "agent_route of agent" begins with, and what it
// is a part of.
func kindOf(about string) (kind, part string) {
	kind, part, _ = strings.Cut(about, " of ")
	return kind, part
}
