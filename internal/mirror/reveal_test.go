package mirror

import (
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// acting is a caller as the access check leaves it: with a team and what the call is about.
func acting(caller identity.Caller, kind, id, name string) identity.Caller {
	caller.Target = identity.Target{Kind: kind, UUID: uuid.MustParse(id), Name: name}
	return caller
}

func TestWhatIsRevealedIsOnesOwnAndRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	e := w.estate(w.payments, "pay")
	files := []*pb.PresignedUrlFile{{FileName: new("a.csv"), FileSize: new(uint64(5))}}
	covered := map[string]bool{}
	for name, tc := range map[string]struct {
		req      proto.Message
		kind, id string
		codes    []string // makes one request differ from the other
		plain    bool     // what is answered is the same for all, and no secret by itself
	}{
		"files for data sources":   {req: &pb.CreateDataSourceUploadUrlsRequest{Files: files, Reason: "why not"}},
		"files for datasets":       {req: &pb.CreateEvaluationDatasetUploadUrlsRequest{Files: files, Reason: "why not"}},
		"files for model datasets": {req: &pb.CreateModelEvaluationDatasetUploadUrlsRequest{Files: files, Reason: "why not"}},
		"tokens":                   {req: &pb.CreateDropboxTokensRequest{Reason: "why not"}, codes: []string{"first-code", "second-code"}},
		"an address for consent":   {req: &pb.GetOAuth2UrlRequest{Type: new("dropbox"), Reason: "why not"}, plain: true},
		"a dataset": {
			req: &pb.GetEvaluationDatasetDownloadUrlRequest{DatasetUuid: e.dataset, Reason: "why not"}, kind: "evaluation_dataset", id: e.dataset,
		},
		"a job's report": {
			req: &pb.GetIndexingJobDetailsUrlRequest{IndexingJobUuid: e.job, Reason: "why not"}, kind: "indexing_job", id: e.job,
		},
		"a run's results": {
			req: &pb.GetModelEvaluationRunDownloadUrlRequest{EvalRunUuid: e.modelRun, Reason: "why not"}, kind: "model_evaluation_run", id: e.modelRun,
		},
	} {
		method := w.api.ByRequest(tc.req)
		covered[string(method.Name)] = true
		t.Run(name, func(t *testing.T) {
			caller := w.payer
			if tc.kind != "" {
				caller = acting(caller, tc.kind, tc.id, name)
			} else {
				caller = acting(caller, "team", w.payments.String(), "payments")
			}
			const events = `SELECT actor || ' ' || coalesce(resource_kind, '') || ' ' || coalesce(resource_uuid::text, '') || ' ' || reason FROM audit_events
				WHERE action = 'REVEAL' AND method = $1 AND outcome = 'SUCCEEDED' AND origin = 'API' AND team_id = $2 ORDER BY recorded_at`
			start := w.mark()
			var mu sync.Mutex
			var secrets []string
			var wg sync.WaitGroup
			for i := range 2 {
				wg.Go(func() {
					req, resp := proto.Clone(tc.req), method.Output.New().Interface()
					if tc.codes != nil {
						set(req, "code", tc.codes[i])
					}
					if err := w.Reveal(t.Context(), caller, req, resp); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					secrets = append(secrets, methods.SecretValues(resp)...)
				})
			}
			wg.Wait()
			slices.Sort(secrets)
			if n := len(secrets); !tc.plain && n < 2 || len(slices.Compact(slices.Clone(secrets))) != n {
				t.Errorf("revealed was %q", secrets)
			}
			if asked := w.asked(start)[method.Verb+" "+method.Path]; asked != 2 {
				t.Errorf("asked %d times for two callers", asked)
			}
			want := strings.TrimRight("payments@example.com "+tc.kind+" "+tc.id, " ")
			for _, event := range all[string](w, events, string(method.Name), w.payments) {
				if strings.Join(strings.Fields(event), " ") != want+" why not" {
					t.Errorf("event %q", event)
				}
			}
			if n := len(all[string](w, events, string(method.Name), w.payments)); n != 2 {
				t.Errorf("%d events", n)
			}
			for _, secret := range append(secrets, tc.codes...) {
				w.storedNowhere(t, secret)
			}
		})
	}
	for _, method := range w.api.All() {
		if method.Upstream() && method.Access.GetAction() == pb.Action_ACTION_REVEAL && !covered[string(method.Name)] {
			t.Errorf("%s is not tried", method.Name)
		}
	}
}

// storedNowhere looks for a text in all that the database holds.
func (w *world) storedNowhere(t *testing.T, secret string) {
	t.Helper()
	for _, table := range all[string](w, "SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'") {
		found := one[int64](w, "SELECT count(*) FROM "+table+" AS x WHERE x::text LIKE '%' || $1 || '%' OR x::text LIKE '%' || $2 || '%'",
			secret, hex.EncodeToString([]byte(secret)))
		if found > 0 {
			t.Errorf("%s holds %q", table, secret)
		}
	}
}

func TestWhatCannotBeRecordedIsNotRevealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	id := w.make(w.payments, datasetRequest("prompts"))
	caller, req := acting(w.payer, "evaluation_dataset", id, "prompts"), &pb.GetEvaluationDatasetDownloadUrlRequest{DatasetUuid: id}
	reveal := func() (*pb.GetEvaluationDatasetDownloadUrlResponse, error) {
		resp := &pb.GetEvaluationDatasetDownloadUrlResponse{}
		return resp, w.Reveal(t.Context(), caller, req, resp)
	}
	// While the history cannot be written, nothing is answered.
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), "LOCK TABLE audit_events IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		resp *pb.GetEvaluationDatasetDownloadUrlResponse
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		resp, err := reveal()
		answers <- answer{resp, err}
	}()
	tick, limit := time.NewTicker(5*time.Millisecond), within(t, soon)
	defer tick.Stop()
	for one[int64](w, "SELECT count(*) FROM pg_locks WHERE NOT granted") == 0 {
		select {
		case <-tick.C:
		case <-limit.Done():
			t.Fatal("it does not wait for the history")
		}
	}
	if len(answers) > 0 {
		t.Fatal("it was answered before it was recorded")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := <-answers; a.err != nil || a.resp.GetDownloadUrl() == "" {
		t.Errorf("recorded, it answered %v, %v", a.resp, a.err)
	}
	// Where it cannot be written at all, nothing is handed out.
	w.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the disk is full'; END $$`)
	w.exec("CREATE TRIGGER refuse BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse()")
	start := w.mark()
	resp, err := reveal()
	if err == nil || resp.DownloadUrl != nil || resp.GetExpiresAt() != nil {
		t.Errorf("unrecorded, it answered %v, %v", resp, err)
	}
	if len(w.asked(start)) != 1 {
		t.Errorf("asked %v", w.asked(start))
	}
	w.exec("DROP TRIGGER refuse ON audit_events")
	// What the vendor refuses is neither answered nor recorded.
	before := one[int64](w, "SELECT count(*) FROM audit_events WHERE action = 'REVEAL'")
	err = w.Reveal(t.Context(), caller, &pb.GetEvaluationDatasetDownloadUrlRequest{DatasetUuid: uuid.NewString()}, resp)
	requireReason(t, pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED, err)
	if n := one[int64](w, "SELECT count(*) FROM audit_events WHERE action = 'REVEAL'"); n != before || before != 1 {
		t.Errorf("%d events, and %d before", n, before)
	}
	if err := w.Reveal(t.Context(), caller, &pb.GetModelRouterRequest{Uuid: id}, &pb.GetModelRouterResponse{}); err == nil {
		t.Error("a router is revealed")
	}
}

// TestNothingIsRevealed has the vendor answer without what it was asked for: that is no
// success, and not in the history.
func TestNothingIsRevealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	files := []*pb.PresignedUrlFile{{FileName: new("a.csv"), FileSize: new(uint64(5))}}
	id := uuid.NewString()
	for _, tc := range []struct {
		req  proto.Message
		body string
	}{
		{&pb.CreateDataSourceUploadUrlsRequest{Files: files}, `{}`},
		{&pb.CreateDataSourceUploadUrlsRequest{Files: files}, `{"request_id": "1", "uploads": []}`},
		{&pb.CreateEvaluationDatasetUploadUrlsRequest{Files: files}, `{"uploads": [{"presigned_url": "https://a.invalid"}, {"object_key": "k"}]}`},
		{&pb.CreateModelEvaluationDatasetUploadUrlsRequest{Files: files}, `{"uploads": [{"presigned_url": ""}]}`},
		{&pb.CreateDropboxTokensRequest{Code: new("code")}, `{"token": "only one of two"}`},
		{&pb.GetOAuth2UrlRequest{Type: new("dropbox")}, `{}`},
		{&pb.GetOAuth2UrlRequest{Type: new("dropbox")}, `{"url": ""}`},
		{&pb.GetOAuth2UrlRequest{Type: new("dropbox")}, `{"url": 7}`},
		{&pb.GetEvaluationDatasetDownloadUrlRequest{DatasetUuid: id}, `{"expires_at": "2026-01-01T00:00:00Z"}`},
		{&pb.GetIndexingJobDetailsUrlRequest{IndexingJobUuid: id}, `{}`},
		{&pb.GetModelEvaluationRunDownloadUrlRequest{EvalRunUuid: id}, `{"download_url": null}`},
	} {
		method := w.api.ByRequest(tc.req)
		// Whatever the simulator would say: it knows nothing of these ids.
		if err := w.sim.SetFaults([]genaisim.Fault{{Method: method.Verb, Path: method.Path, Status: 200, Body: tc.body}}); err != nil {
			t.Fatal(err)
		}
		resp := method.Output.New().Interface()
		err := w.Reveal(t.Context(), acting(w.payer, "team", w.payments.String(), "payments"), tc.req, resp)
		if requireReason(t, pb.ErrorReason_ERROR_REASON_VENDOR_PROTOCOL, err); proto.Size(resp) > 0 {
			t.Errorf("%s to %s was answered with %v", tc.body, method.Name, resp)
		}
	}
	if n := one[int64](w, "SELECT count(*) FROM audit_events WHERE action = 'REVEAL'"); n != 0 {
		t.Errorf("%d events tell of what was not revealed", n)
	}
}
