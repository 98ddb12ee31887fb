package operation_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// changeCase says what one method is held to, whatever goes wrong.
type changeCase struct {
	// prepare makes what the change needs, notes what our copy must show afterwards, and
	// answers the request.
	prepare func(s *scene) proto.Message
	// about is the kind that the history must name and, after " of ", what it is a part of.
	about string
	// shows says which of "before" and "after" the history must show.
	shows string
	// rows are how our copy must hold what was noted in the scene, by the name it has there;
	// what is created has the name of its kind.
	rows map[string]held
	// lost are the changes, by their methods, that the vendor makes if the reply to the
	// first one is lost; nil: the one that was asked for.
	lost []string
	// lostShows and lostRows are shows and rows if the reply was lost and the next one shows
	// less; "" and nil: the same.
	lostShows string
	lostRows  map[string]held
	// also is what else must be so.
	also func(s *scene, response proto.Message)
	// slow has what takes its time at the vendor take an hour, and the vendor's clock stand
	// still meanwhile.
	slow bool
	// refused says that the vendor makes no such change any more.
	refused bool
	// thorough adds troubles that are the same to all methods of a strategy.
	thorough bool
}

// held is how our copy holds a resource.
type held string

const (
	current held = "current" // as the vendor has it
	behind  held = "behind"  // to be read again
	gone    held = "deleted"
	unseen  held = "unseen" // there is no row
)

// trouble is what may become of a request and of who sent it.
type trouble struct {
	// fault is the vendor's; its path and method are those of the change.
	fault genaisim.Fault
	// dies says that the worker stops between the vendor's answer and the commit of it.
	dies bool
	// lost says that the reply did not come to who settles the change.
	lost bool
}

// troubles are those that a change of a method is held against.
func troubles(m *methods.Method, c changeCase) map[string]trouble {
	all := map[string]trouble{
		"reply dropped":              {fault: genaisim.Fault{Drop: "after", Count: 1}, lost: true},
		"worker dies with the reply": {fault: genaisim.Fault{DelayMS: 1, Count: 1}, dies: true, lost: true},
	}
	if c.thorough || m.Access.GetFind() != nil { // what was not made must not be found
		all["request dropped"] = trouble{fault: genaisim.Fault{Drop: "before", Count: 1}}
	}
	if m.Access.GetReturnsSecret() || m.Access.GetAction() == pb.Action_ACTION_CREATE && answersID(m) {
		all["an answer of success that says nothing"] = trouble{fault: genaisim.Fault{Body: "{}", Count: 1}, lost: true}
	}
	if c.thorough {
		all["500 in place of the reply"] = trouble{fault: genaisim.Fault{Status: 500, After: true, Count: 1}, lost: true}
		all["throttled"] = trouble{fault: genaisim.Fault{Status: 429, Count: 1, Headers: map[string]string{"retry-after": "1"}}}
	}
	return all
}

// answersID says that the answer alone tells the id of what a method makes.
func answersID(m *methods.Method) bool {
	path := m.Access.GetSubject().GetField()
	return methods.Resolve(m.Output.Descriptor(), path) != nil && methods.Resolve(m.Input.Descriptor(), path) == nil
}

// changeCases are all changes of the API, by "Service.Method".
func changeCases() map[string]changeCase {
	all := map[string]changeCase{}
	for _, some := range []map[string]changeCase{
		keyCases(), routeCases(), agentCases(), knowledgeCases(), indexingCases(), evaluationCases(), modelEvaluationCases(),
		modelCases(), platformCases(),
	} {
		maps.Copy(all, some)
	}
	return all
}

// TestEveryChangeInTrouble makes every change that the API has, without trouble and with
// every trouble, and asks each time whether the vendor made it once, the history tells of
// it once, our copy agrees, and no secret was left behind.
func TestEveryChangeInTrouble(t *testing.T) {
	t.Parallel()
	cases := changeCases()
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, 8) // they wait most of the time: more than there are processors
	for _, m := range methods.API().All() {
		if !m.Change() {
			continue
		}
		name := shortName(m)
		c, ok := cases[name]
		if delete(cases, name); !ok {
			t.Errorf("%s is not tested", name)
			continue
		}
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			t.Run(name, func(t *testing.T) { inTrouble(t, m, c) })
		})
	}
	for name := range cases {
		t.Errorf("%s is no change of the API", name)
	}
}

func shortName(m *methods.Method) string {
	return strings.TrimPrefix(string(m.Name), methods.Package+".")
}

func inTrouble(t *testing.T, m *methods.Method, c changeCase) {
	t.Helper()
	var vendor genaisim.Config
	var clock atomic.Pointer[time.Time]
	if c.slow {
		vendor.IndexTime, vendor.EvaluationTime, vendor.ImportTime = time.Hour, time.Hour, time.Hour
		clock.Store(&time.Time{})
		vendor.Now = func() time.Time { return *clock.Load() }
	}
	b := setupWith(t, vendor, func(cfg *operation.Config) {
		cfg.Lease = 10 * time.Second // a slow machine is not the trouble that is meant
		cfg.Quiet = 50 * time.Millisecond
	})
	stop := b.start(b.engine)
	var calm *told
	run := func(name string, with trouble) {
		t.Run(name, func(t *testing.T) { // one after the other: they share the vendor
			s := &scene{bench: b.within(t), name: name, known: map[string]known{}}
			clock.Store(s.now())
			request := c.prepare(s)
			if err := protovalidate.Validate(request); err != nil {
				t.Fatalf("the request is not valid: %v", err)
			}
			if got := methods.SecretValues(request); hasSecret(m.Input.Descriptor(), nil) && len(got) == 0 {
				t.Fatal("the request could have secrets, and has none")
			}
			before := s.look()
			fault := with.fault
			fault.Method, fault.Path = m.Verb, m.Path
			s.fault(fault)
			var a answer
			if with.dies {
				stop()
				a, stop = s.dying(b, m, request)
			} else {
				a = s.change(m, request)
			}
			s.fault()
			if got := s.requireAll(m, c, with, before, a); calm == nil {
				calm = &got
			} else {
				got.requireLike(t, *calm, c, with)
			}
		})
	}
	run("no trouble", trouble{fault: genaisim.Fault{DelayMS: 1}})
	if calm == nil {
		return // it has failed
	}
	all := troubles(m, c)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		run(name, all[name])
	}
}

// TestRefusalsInASuccess is about what the vendor refuses with a status of 200.
func TestRefusalsInASuccess(t *testing.T) {
	t.Parallel()
	type refusal struct {
		prepare func(s *scene) proto.Message
		says    string
		rows    map[string]held
		absent  string // a kind of which nothing may be in our copy
	}
	for name, c := range map[string]refusal{
		"a model that is being imported is deleted": {
			prepare: func(s *scene) proto.Message {
				return &pb.DeleteCustomModelRequest{Uuid: s.customModel()}
			},
			says: "is being imported", rows: map[string]held{"custom_model": current},
		},
		"a run that has not ended is deleted": {
			prepare: func(s *scene) proto.Message {
				return &pb.DeleteModelEvaluationRunRequest{EvalRunUuid: s.modelRun(nil)}
			},
			says: "cannot be deleted until it has ended", rows: map[string]held{"model_evaluation_run": current},
		},
		"a repository that does not exist is imported": {
			prepare: func(s *scene) proto.Message {
				request := s.importing()
				request.SourceRef.RepoId = new("missing/model")
				return request
			},
			says: "does not exist", absent: "custom_model",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupWith(t, genaisim.Config{ImportTime: time.Hour, EvaluationTime: time.Hour})
			b.start(b.engine)
			refuse := func(trouble string, fault genaisim.Fault, reason pb.ErrorReason, says string, rows map[string]held) {
				t.Run(trouble, func(t *testing.T) {
					s := &scene{bench: b.within(t), name: trouble, known: map[string]known{}}
					request := c.prepare(s)
					m := methods.API().ByRequest(request)
					before := s.look()
					fault.Method, fault.Path = m.Verb, m.Path
					s.fault(fault)
					a := s.change(m, request)
					s.fault()
					requireReason(t, a.err, reason)
					if got := a.err.Error(); !strings.Contains(got, says) {
						t.Errorf("the caller is told %q, without %q", got, says)
					}
					if made := s.effectsSince(before); len(made) != 0 {
						t.Errorf("the vendor made %q", made)
					}
					e := s.event(a.operation)
					if e.Outcome != "FAILED" || e.Before != nil || e.After != nil {
						t.Errorf("the history tells of %s, from %s to %s", e.Outcome, e.Before, e.After)
					}
					s.requireRows(rows)
					if c.absent != "" {
						if n := s.count("SELECT count(*) FROM resources WHERE kind = $1", c.absent); n != 0 {
							t.Errorf("our copy has %d of kind %s", n, c.absent)
						}
					}
					s.requireSecretless(request)
					s.requireConsistent()
				})
			}
			refuse("no trouble", genaisim.Fault{DelayMS: 1}, pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED, c.says, c.rows)
			// The second refusal may mean that the first request had its effect: nobody can tell.
			unsure := map[string]held{}
			for row := range c.rows {
				unsure[row] = behind
			}
			refuse("reply dropped", genaisim.Fault{Drop: "after", Count: 1}, pb.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN,
				"cannot be told", unsure)
		})
	}
}

// told is what a change left behind, in words that do not depend on which one it was.
type told struct {
	before, after string
	counts        map[string]int
}

// requireLike holds a change in trouble against one without: the history must tell the
// same of it, and as much must be at the vendor's as before.
func (got told) requireLike(t *testing.T, calm told, c changeCase, with trouble) {
	t.Helper()
	if !maps.Equal(got.counts, calm.counts) {
		t.Errorf("at the vendor it made a difference of %v, without trouble %v", got.counts, calm.counts)
	}
	if with.lost && c.lostShows != "" {
		return // it cannot tell the same
	}
	if got.before != calm.before {
		t.Errorf("the history tells of what was before\n%s\nand without trouble\n%s", got.before, calm.before)
	}
	if got.after != calm.after {
		t.Errorf("the history tells of what came of it\n%s\nand without trouble\n%s", got.after, calm.after)
	}
}

// words is a JSON object without what is different each time.
func (s *scene) words(object json.RawMessage) string {
	s.t.Helper()
	if object == nil {
		return ""
	}
	var fields map[string]any
	if err := json.Unmarshal(object, &fields); err != nil {
		s.t.Fatal(err)
	}
	delete(fields, "updated_at") // in whole seconds: sometimes it is the same
	shown, err := json.Marshal(fields)
	if err != nil {
		s.t.Fatal(err)
	}
	text := strings.ReplaceAll(string(shown), s.name, "NAME")
	for what, form := range variable() {
		text = form.ReplaceAllString(text, what)
	}
	return text
}
