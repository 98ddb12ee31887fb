package mirror

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// waiting is a wait that goes on.
type waiting struct {
	t        *testing.T
	messages chan proto.Message
	done     chan error
}

// always is somebody who may wait as long as they like.
func always(caller identity.Caller) Who {
	return func(context.Context) (identity.Caller, error) { return caller, nil }
}

func await(ctx context.Context, t *testing.T, m *Mirror, caller identity.Caller, req, resp proto.Message) *waiting {
	t.Helper()
	w := &waiting{t: t, messages: make(chan proto.Message, 1000), done: make(chan error, 1)}
	go func() {
		w.done <- m.Wait(ctx, always(caller), req, resp, func(message proto.Message) error {
			w.messages <- message
			return nil
		})
	}()
	return w
}

// soon is more than anything takes that happens at once.
const soon = 20 * time.Second

// next is the next message.
func (w *waiting) next() (proto.Message, *pb.WaitProgress) {
	w.t.Helper()
	timeout := time.NewTimer(soon)
	defer timeout.Stop()
	ended := w.done
	for {
		select {
		case message := <-w.messages:
			return w.read(message)
		case err := <-ended:
			w.done <- err
			if ended = nil; len(w.messages) == 0 {
				w.t.Fatalf("it ended with %v instead of a message", err)
			}
		case <-timeout.C:
			w.t.Fatal("there is no message")
		}
	}
}

func (w *waiting) read(message proto.Message) (proto.Message, *pb.WaitProgress) {
	w.t.Helper()
	told, _ := message.(interface{ GetProgress() *pb.WaitProgress })
	if f := told.GetProgress().GetFreshness(); told.GetProgress().GetOutcome() != gone && (f.GetSyncedAt() == nil || f.GetSource() == 0) {
		w.t.Errorf("freshness: %v", f)
	}
	return message, told.GetProgress()
}

// reaches reads messages until one is of the status, and wants the outcome with it; if that
// ends the wait, it wants the end, too.
func (w *waiting) reaches(status string, want pb.WaitProgress_Outcome) {
	w.t.Helper()
	var seen []string
	for {
		_, progress := w.next()
		seen = append(seen, progress.GetStatus())
		if progress.GetStatus() != status && progress.GetOutcome() == waitsOn {
			continue
		}
		if progress.GetOutcome() != want || progress.GetStatus() != status {
			w.t.Fatalf("%v, want %s %s; by %v", progress, status, want, seen)
		}
		if want != waitsOn {
			if err := w.end(); err != nil {
				w.t.Fatalf("it ended with %v", err)
			}
			if len(w.messages) > 0 {
				w.t.Errorf("%d messages came after the last", len(w.messages))
			}
		}
		return
	}
}

func (w *waiting) end() error {
	w.t.Helper()
	select {
	case err := <-w.done:
		return err
	case <-time.After(soon):
		w.t.Fatal("it does not end")
		return nil
	}
}

// quickly has waits look often.
func quickly(c *Config) { c.PollEvery = 10 * time.Millisecond }

func TestWaitsFollowToTheEnd(t *testing.T) {
	t.Parallel()
	const long = 9 * time.Hour
	clock := &clock{}
	w := newWorld(t, genaisim.Config{Now: clock.now, DeployTime: long, DatabaseTime: long, IndexTime: long, EvaluationTime: long}, plenty, quickly)
	e := w.estate(w.payments, "pay")
	w.rounds(1)
	agent := await(t.Context(), t, w.Mirror, w.payer, &pb.WaitAgentRequest{Uuid: e.agent}, &pb.WaitAgentResponse{})
	base := await(t.Context(), t, w.Mirror, w.payer, &pb.WaitKnowledgeBaseRequest{Uuid: e.base}, &pb.WaitKnowledgeBaseResponse{})
	job := await(t.Context(), t, w.Mirror, w.payer, &pb.WaitIndexingJobRequest{Uuid: e.job}, &pb.WaitIndexingJobResponse{})
	run := await(t.Context(), t, w.Mirror, w.payer, &pb.WaitEvaluationRunRequest{EvaluationRunUuid: e.run}, &pb.WaitEvaluationRunResponse{})
	for status, follow := range map[string]*waiting{
		"STATUS_WAITING_FOR_DEPLOYMENT": agent, "CREATING": base, "INDEX_JOB_STATUS_PENDING": job, "EVALUATION_RUN_QUEUED": run,
	} {
		message, progress := follow.next()
		if progress.GetStatus() != status || progress.GetOutcome() != waitsOn {
			t.Errorf("at first %v, want %s", progress, status)
		}
		named := false
		for _, name := range []string{"pay agent", "pay base", "pay run", e.job} {
			text, _ := encode(message)
			named = named || strings.Contains(string(text), name)
		}
		if !named {
			t.Errorf("%s: the first message does not show what is waited for: %v", status, message)
		}
	}
	clock.pass(long / 2)
	agent.reaches("STATUS_DEPLOYING", waitsOn)
	run.reaches("EVALUATION_RUN_RUNNING_DATASET", waitsOn)
	clock.pass(long)
	agent.reaches("STATUS_RUNNING", succeeded)
	base.reaches("ONLINE", succeeded)
	run.reaches("EVALUATION_RUN_SUCCESSFUL", succeeded)
	job.reaches("INDEX_JOB_STATUS_IN_PROGRESS", waitsOn) // it began when the database was there
	clock.pass(long)
	job.reaches("INDEX_JOB_STATUS_COMPLETED", succeeded)
	if told := w.told(); len(told) > 0 {
		t.Errorf("told: %q", told)
	}
	// What has ended is told at once, without asking.
	start := w.mark()
	again := await(t.Context(), t, w.Mirror, w.payer, &pb.WaitIndexingJobRequest{Uuid: e.job}, &pb.WaitIndexingJobResponse{})
	again.reaches("INDEX_JOB_STATUS_COMPLETED", succeeded)
	if asked := w.asked(start); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
}

func TestWaitsEndWhateverHappens(t *testing.T) {
	t.Parallel()
	const long = 9 * time.Hour
	for name, tc := range map[string]struct {
		req    func(w *world, e *estate) proto.Message
		happen func(w *world, e *estate)
		status string
		want   pb.WaitProgress_Outcome
	}{
		"an agent fails": {
			func(_ *world, e *estate) proto.Message { return &pb.WaitAgentRequest{Uuid: e.agent} },
			func(w *world, e *estate) {
				w.doctor("GET", "/v2/gen-ai/agents", func(answer map[string]any) {
					for _, agent := range answer["agents"].([]any) {
						agent.(map[string]any)["deployment"].(map[string]any)["status"] = "STATUS_FAILED"
					}
				})
			}, "STATUS_FAILED", failed,
		},
		"an agent is deleted by us": {
			func(_ *world, e *estate) proto.Message { return &pb.WaitAgentRequest{Uuid: e.agent} },
			func(w *world, e *estate) { w.change(w.payments, &pb.DeleteAgentRequest{Uuid: e.agent}) }, "", gone,
		},
		"an agent is deleted elsewhere": {
			func(_ *world, e *estate) proto.Message { return &pb.WaitAgentRequest{Uuid: e.agent} },
			func(w *world, e *estate) { w.console("DELETE", "agents/"+e.agent, "") }, "", gone,
		},
		"a database is switched off": {
			func(_ *world, e *estate) proto.Message { return &pb.WaitKnowledgeBaseRequest{Uuid: e.base} },
			func(w *world, e *estate) {
				w.doctor("GET", "/v2/gen-ai/knowledge_bases/"+e.base, func(answer map[string]any) { answer["database_status"] = "POWEROFF" })
			}, "POWEROFF", failed,
		},
		"a knowledge base is deleted elsewhere": {
			func(_ *world, e *estate) proto.Message { return &pb.WaitKnowledgeBaseRequest{Uuid: e.base} },
			func(w *world, e *estate) { w.elsewhere(&pb.DeleteKnowledgeBaseRequest{Uuid: e.base}) }, "", gone,
		},
		"a job is cancelled by us": {
			func(_ *world, e *estate) proto.Message { return &pb.WaitIndexingJobRequest{Uuid: e.job} },
			func(w *world, e *estate) { w.change(w.payments, &pb.CancelIndexingJobRequest{Uuid: e.job}) }, "INDEX_JOB_STATUS_CANCELLED", failed,
		},
		"a job is cancelled elsewhere": {
			func(_ *world, e *estate) proto.Message { return &pb.WaitIndexingJobRequest{Uuid: e.job} },
			func(w *world, e *estate) { w.elsewhere(&pb.CancelIndexingJobRequest{Uuid: e.job}) }, "INDEX_JOB_STATUS_CANCELLED", failed,
		},
		"a job goes with its knowledge base": {
			func(_ *world, e *estate) proto.Message { return &pb.WaitIndexingJobRequest{Uuid: e.job} },
			func(w *world, e *estate) { w.change(w.payments, &pb.DeleteKnowledgeBaseRequest{Uuid: e.base}) }, "", gone,
		},
		"a run is cancelled": {
			func(_ *world, e *estate) proto.Message { return &pb.WaitEvaluationRunRequest{EvaluationRunUuid: e.run} },
			func(w *world, e *estate) {
				w.doctor("GET", "/v2/gen-ai/evaluation_runs/"+e.run, func(answer map[string]any) {
					answer["evaluation_run"].(map[string]any)["status"] = "EVALUATION_RUN_CANCELLED"
				})
			}, "EVALUATION_RUN_CANCELLED", failed,
		},
		"a run disappears": {
			func(_ *world, e *estate) proto.Message { return &pb.WaitEvaluationRunRequest{EvaluationRunUuid: e.run} },
			func(w *world, e *estate) {
				if err := w.sim.SetFaults([]genaisim.Fault{{Method: "GET", Path: "/v2/gen-ai/evaluation_runs/" + e.run, Status: 404}}); err != nil {
					w.t.Fatal(err)
				}
			}, "", gone,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := &clock{}
			w := newWorld(t, genaisim.Config{Now: clock.now, DeployTime: long, DatabaseTime: long, IndexTime: long, EvaluationTime: long}, plenty, quickly)
			e := &estate{team: w.payments}
			w.waitable(e)
			ask := tc.req(w, e)
			follow := await(t.Context(), t, w.Mirror, w.payer, ask, w.api.ByRequest(ask).Output.New().Interface())
			if _, progress := follow.next(); progress.GetOutcome() != waitsOn {
				t.Fatalf("at first %v", progress)
			}
			tc.happen(w, e)
			follow.reaches(tc.status, tc.want)
		})
	}
}

// waitable makes of an estate what can be waited for.
func (w *world) waitable(e *estate) {
	w.t.Helper()
	e.agent = w.create("agent")
	e.base = w.make(e.team, w.baseRequest("base"))
	e.job = w.jobOf(e.base)
	e.dataset = w.make(e.team, datasetRequest("dataset"))
	e.testCase = w.make(e.team, &pb.CreateEvaluationTestCaseRequest{Name: new("case"), DatasetUuid: &e.dataset, Metrics: []string{genaisim.MetricTone}})
	e.run = w.make(e.team, &pb.RunEvaluationTestCaseRequest{TestCaseUuid: &e.testCase, AgentUuids: []string{e.agent}})
	w.walk(w.t, w.auditor, &pb.ListIndexingJobsRequest{}, 0)
}

// doctor has the vendor answer a question as it does now, but for a change.
func (w *world) doctor(method, path string, change func(answer map[string]any)) {
	w.t.Helper()
	request := httptest.NewRequest(method, path, nil)
	request.Header.Set("Authorization", "Bearer token")
	recorder := httptest.NewRecorder()
	w.sim.ServeHTTP(recorder, request)
	var answer map[string]any
	if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil {
		w.t.Fatal(err)
	}
	change(answer)
	text, err := json.Marshal(answer)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.sim.SetFaults([]genaisim.Fault{{Method: method, Path: path, Body: string(text)}}); err != nil {
		w.t.Fatal(err)
	}
}

// TestWaitersShareTheVendor has many wait for several things, in two replicas.
func TestWaitersShareTheVendor(t *testing.T) {
	t.Parallel()
	const long, pace = 9 * time.Hour, 100 * time.Millisecond
	clock := &clock{}
	w := newWorld(t, genaisim.Config{Now: clock.now, IndexTime: long}, plenty, func(c *Config) { c.PollEvery = pace })
	other := New(w.cfg)
	t.Cleanup(other.running.Wait)
	var jobs []string
	for range 10 {
		base, _ := w.elsewhere(w.baseRequest("base")).(*pb.CreateKnowledgeBaseResponse)
		jobs = append(jobs, w.jobOf(base.GetKnowledgeBase().GetUuid()))
	}
	w.walk(t, w.auditor, &pb.ListIndexingJobsRequest{}, 0)
	var all []*waiting
	start, begun := w.mark(), time.Now()
	for i := range 50 {
		m := []*Mirror{w.Mirror, other}[i%2]
		all = append(all, await(t.Context(), t, m, w.auditor, &pb.WaitIndexingJobRequest{Uuid: jobs[i%10]}, &pb.WaitIndexingJobResponse{}))
	}
	for _, follow := range all {
		follow.next()
	}
	const polls = "GET /v2/gen-ai/indexing_jobs"
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := within(t, soon); w.asked(start)[polls] < 4; {
		select {
		case <-tick.C:
		case <-limit.Done():
			t.Fatal("nobody asks")
		}
	}
	clock.pass(2 * long)
	for _, follow := range all {
		follow.reaches("INDEX_JOB_STATUS_COMPLETED", succeeded)
	}
	asked := w.asked(start)
	most := int(time.Since(begun)/pace) + 1
	if asked[polls] > most || len(asked) != 1 {
		t.Errorf("asked %v, want no more than %d polls and nothing else", asked, most)
	}
}

func TestWaitsOutlastTheVendor(t *testing.T) {
	t.Parallel()
	const long = 9 * time.Hour
	clock := &clock{}
	w := newWorld(t, genaisim.Config{Now: clock.now, DeployTime: long, DatabaseTime: long, IndexTime: long, EvaluationTime: long}, plenty, quickly)
	e := &estate{team: w.payments}
	w.waitable(e)
	follow := map[string]*waiting{}
	for status, req := range map[string]proto.Message{
		"STATUS_RUNNING": &pb.WaitAgentRequest{Uuid: e.agent}, "ONLINE": &pb.WaitKnowledgeBaseRequest{Uuid: e.base},
		"INDEX_JOB_STATUS_COMPLETED": &pb.WaitIndexingJobRequest{Uuid: e.job}, "EVALUATION_RUN_SUCCESSFUL": &pb.WaitEvaluationRunRequest{EvaluationRunUuid: e.run},
	} {
		follow[status] = await(t.Context(), t, w.Mirror, w.payer, req, w.api.ByRequest(req).Output.New().Interface())
		follow[status].next()
	}
	// Two more than open the breaker: those are probes.
	failing := []genaisim.Fault{{Method: "GET", Status: 503, Count: 4}, {Method: "GET", Drop: "before", Count: 4}, {Method: "GET", Body: "{", Count: 4}}
	start := w.mark()
	if err := w.sim.SetFaults(failing); err != nil {
		t.Fatal(err)
	}
	clock.pass(4 * long)
	for status, wait := range follow {
		wait.reaches(status, succeeded)
	}
	failures := 0
	for _, request := range w.sim.Requests()[start:] {
		if request.Fault != "" {
			failures++
		}
	}
	if failures != 12 {
		t.Errorf("the vendor failed %d times only", failures)
	}
}
