package e2e_test

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// downloaded is a file of the history, and what came after it.
type downloaded struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
	err     error
}

// download fetches a file as curl would. The token goes into the header.
func (s *service) download(t *testing.T, token, path string, headers ...string) downloaded {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	transport := newTransport(t, false)
	transport.DisableCompression = true
	resp, err := bearer{token: token, next: transport}.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return downloaded{resp.StatusCode, resp.Header, resp.Trailer, string(body), err}
}

// many puts events of the teams into the history, as wide ones as asked for, which cannot be compressed to nothing.
func (w *world) many(t *testing.T, n, width int) {
	t.Helper()
	if _, err := w.rows.Exec(t.Context(), `INSERT INTO audit_events (id, recorded_at, actor, team_id, action, outcome, origin, reason, request)
		SELECT gen_random_uuid(), now() - make_interval(secs => $1::int - n), 'actor-' || n % 9, t.id, 'UPDATE', 'SUCCEEDED', 'API',
		       '=1+' || n || ' of ' || t.name, jsonb_build_object('text', (SELECT string_agg(md5(n::text || t.name || i), '') FROM generate_series(1, $2::int) AS i))
		  FROM generate_series(1, $1::int) AS n, teams AS t WHERE t.name IN ('payments', 'search')`, n, width/32); err != nil {
		t.Fatal(err)
	}
}

// TestDownloads fetches the history as files, as whom and with whatever may be in a URL.
func TestDownloads(t *testing.T) {
	w := newWorld(t)
	s := w.serve(t)
	const n = 1500
	w.many(t, n, 64)
	auditor := run(t, environment("DATABASE_URL="+w.database), "token", "create", "--name", "auditor", "--platform", "auditor")

	t.Run("whole files", func(t *testing.T) {
		for path, lines := range map[string]int{
			"/audit/export.jsonl?action=UPDATE": n, "/audit/export.jsonl?format=ocsf&actor=actor-1&action=UPDATE": n/9 + 1,
			"/audit/export.csv?filter=action+%3D+UPDATE": n + 1, "/audit/export.csv?team=search": 1,
			"/audit/export.jsonl?words=OF+payments": n, "/audit/export.jsonl?reason=" + "of+search": 0, "/audit/export.csv?until=2020-01-01T00:00:00Z": 1,
			"/audit/export.jsonl?filter=team+%3D+search+OR+NOT+team+%3D+search&since=2020-01-01T00:00:00Z&action=UPDATE": n,
		} {
			plain := s.download(t, w.payments, path)
			sum := sha256.Sum256([]byte(plain.body))
			if plain.status != http.StatusOK || plain.err != nil || plain.trailer.Get("Agentsvc-Sha256") != hex.EncodeToString(sum[:]) {
				t.Errorf("%s: %d %v, trailer %v, want the digest %x", path, plain.status, plain.err, plain.trailer, sum)
			}
			rows := strings.Count(plain.body, "\n")
			if header := strings.Count(plain.body, "id,time,actor"); plain.trailer.Get("Agentsvc-Rows") != strconv.Itoa(rows-header) {
				t.Errorf("%s: the trailer is %v", path, plain.trailer)
			}
			if rows != lines {
				t.Errorf("%s has %d lines, want %d", path, rows, lines)
			}
			if strings.Contains(plain.body, "of search") {
				t.Errorf("%s has what is another team's", path)
			}
		}
	})
	t.Run("compressed", func(t *testing.T) {
		const path = "/audit/export.jsonl?action=UPDATE"
		got := s.download(t, auditor, path, "Accept-Encoding", "br, gzip")
		zip, err := gzip.NewReader(strings.NewReader(got.body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(zip)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(text)
		if got.header.Get("Content-Encoding") != "gzip" || got.trailer.Get("Agentsvc-Sha256") != hex.EncodeToString(sum[:]) ||
			strings.Count(string(text), "\n") != 2*n {
			t.Errorf("%v, %v, %d lines", got.header, got.trailer, strings.Count(string(text), "\n"))
		}
		if none := s.download(t, auditor, path, "Accept-Encoding", "gzip;q=0"); none.header.Get("Content-Encoding") != "" {
			t.Error("compressed for somebody who does not take it")
		}
	})
	t.Run("a spreadsheet", func(t *testing.T) {
		rows, err := csv.NewReader(strings.NewReader(s.download(t, w.payments, "/audit/export.csv?action=UPDATE").body)).ReadAll()
		if err != nil || len(rows) != n+1 || !strings.HasPrefix(rows[1][13], "'=1+") {
			t.Errorf("%d rows, %v, the first is %q", len(rows), err, rows[1])
		}
	})
	t.Run("what the API lists", func(t *testing.T) {
		line, _, _ := strings.Cut(s.download(t, w.payments, "/audit/export.jsonl?action=UPDATE").body, "\n")
		var got struct {
			Event struct {
				ID     string `json:"id"`
				Reason string `json:"reason"`
			} `json:"event"`
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		list, err := s.as(t, w.payments).audit.ListAuditEvents(t.Context(), &pb.ListAuditEventsRequest{Filter: `words:"` + got.Event.Reason + `"`, Count: true})
		if err != nil || list.GetTotalSize() != 1 || list.GetTotalIsMore() || list.GetEvents()[0].GetId() != got.Event.ID {
			t.Errorf("%v, %v; want event %s", list, err, got.Event.ID)
		}
	})
	t.Run("what is refused", func(t *testing.T) {
		for path, want := range map[string]int{
			"/audit/export.csv?filter=nonsense+%3D%3D%3D": 400, "/audit/export.csv?token=" + auditor: 400, "/audit/export.csv?access_token=" + auditor: 400,
			"/audit/export.csv?actor=a&actor=b": 400, "/audit/export.csv?actor=a%00b": 400, "/audit/export.csv?actor=%ff": 400,
			"/audit/export.csv?format=ocsf": 400, "/audit/export.jsonl?format=xml": 400, "/audit/export.csv?until=yesterday": 400,
			"/audit/export.csv?actor=" + strings.Repeat("a", 3000): 400, "/audit/export.csv?resume_token=AAAA": 400,
			"/audit/export.xml": 404, "/audit/": 404, "/audit/export.jsonl?filter=" + strings.Repeat("(", 100): 400,
		} {
			got := s.download(t, w.payments, path)
			var problem struct {
				Message string `json:"message"`
			}
			if err := json.Unmarshal([]byte(got.body), &problem); got.status != want || err != nil || problem.Message == "" || strings.Contains(got.body, auditor) {
				t.Errorf("%.80s answers %d %s", path, got.status, got.body)
			}
		}
		for _, token := range []string{"", "ast_aaaaaaaaaaaa_bbbb"} {
			if got := s.download(t, token, "/audit/export.csv"); got.status != http.StatusUnauthorized || strings.Contains(got.body, "actor") {
				t.Errorf("a stranger is answered %d %s", got.status, got.body)
			}
		}
	})
	t.Run("its own history", func(t *testing.T) {
		got := w.count(t, `SELECT count(*) FROM audit_events WHERE resource_kind = 'audit_events' AND actor = 'payments-bot' AND
			outcome = 'SUCCEEDED' AND method LIKE '%.ExportAuditEvents' AND after->>'rows' IS NOT NULL AND length(after->>'sha256') = 64 AND team_id IS NULL`)
		if got < 8 {
			t.Errorf("%d exports are in the history", got)
		}
	})
}

// TestExportsEndWhenTheServiceStops takes the first pieces of exports that are too large for any buffer on the way.
func TestExportsEndWhenTheServiceStops(t *testing.T) {
	const large = 3000
	w := newWorld(t)
	s := w.serve(t)
	w.many(t, large, 8<<10)
	open := map[string]*connect.ServerStreamForClient[pb.ExportAuditEventsResponse]{}
	var token string
	for protocol, c := range map[string]*client{"gRPC": s.overGRPC(t, w.payments), "Connect": s.as(t, w.search)} {
		stream, err := c.audit.ExportAuditEvents(t.Context(), &pb.ExportAuditEventsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if !stream.Receive() || stream.Msg().GetRows() == 0 {
			t.Fatalf("%s: %v", protocol, stream.Err())
		}
		open[protocol] = stream
		if protocol == "gRPC" {
			token = stream.Msg().GetResumeToken()
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/audit/export.jsonl", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	third := w.token(t, "search")
	file, err := bearer{token: third, next: newTransport(t, false)}.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Body.Close()
	if _, err := io.ReadFull(file.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	s.signal(t, syscall.SIGTERM)
	await(t, "the service ends streams", func() bool {
		return w.count(t, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'FETCH%' AND datname = current_database()") == 0
	})
	for protocol, stream := range open {
		for stream.Receive() {
			if stream.Msg().GetEnd() != nil {
				t.Errorf("%s: the export is whole", protocol)
			}
		}
		if detail[*errdetails.ErrorInfo](stream.Err()).GetReason() != pb.ErrorReason_ERROR_REASON_STOPPING.String() {
			t.Errorf("%s: the stream ended with %v", protocol, stream.Err())
		}
	}
	if n, err := io.Copy(io.Discard, file.Body); err == nil {
		t.Errorf("a file of which %d bytes came ends as if it were whole, with the trailer %v", n, file.Trailer)
	}
	if code := s.wait(t); code != 0 {
		t.Errorf("the process ended with %d", code)
	}
	// Another replica goes on where the first one stopped, to the same end as if nothing had been.
	s = w.serve(t)
	stream, err := s.overGRPC(t, w.payments).audit.ExportAuditEvents(t.Context(), &pb.ExportAuditEventsRequest{ResumeToken: token})
	if err != nil {
		t.Fatal(err)
	}
	var end *pb.AuditExportEnd
	for stream.Receive() {
		end = stream.Msg().GetEnd()
	}
	if stream.Err() != nil || end.GetRows() != large+1 { // and that there is a token
		t.Errorf("resumed to %v, %v", end, stream.Err())
	}
}

// TestSummaries counts what a team and what an auditor may see.
func TestSummaries(t *testing.T) {
	w := newWorld(t)
	s := w.serve(t)
	agent := newAgent(t, s.as(t, w.payments), "counted")
	if _, err := s.as(t, w.payments).keys.CreateAgentApiKey(t.Context(), &pb.CreateAgentApiKeyRequest{AgentUuid: agent, Name: new("k")}); err != nil {
		t.Fatal(err)
	}
	_, err := s.as(t, w.search).agents.DeleteAgent(t.Context(), &pb.DeleteAgentRequest{Uuid: agent})
	wantCode(t, err, connect.CodeNotFound)
	auditor := run(t, environment("DATABASE_URL="+w.database), "token", "create", "--name", "auditor", "--platform", "auditor")
	req := &pb.SummarizeAuditEventsRequest{StartTime: hoursAgo(24)}

	team, err := s.as(t, w.payments).audit.SummarizeAuditEvents(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	want := int64(w.count(t, "SELECT count(*) FROM audit_events WHERE team_id = (SELECT id FROM teams WHERE name = 'payments')"))
	if team.GetTotal().GetEvents() != want || len(team.GetByTeam()) != 1 || team.GetByTeam()[0].GetName() != "payments" {
		t.Errorf("a team's summary is %v, want %d events of payments alone", team, want)
	}
	if len(team.GetTopChangedAgents()) != 1 || team.GetTopChangedAgents()[0].GetAgent().GetUuid() != agent ||
		team.GetTopChangedAgents()[0].GetAgent().GetName() != "counted" || team.GetTopChangedAgents()[0].GetChanges() != 2 {
		t.Errorf("the changed agents are %v", team.GetTopChangedAgents())
	}
	if len(team.GetSecretsRevealed()) != 1 || team.GetSecretsRevealed()[0].GetActor() != "payments-bot" {
		t.Errorf("the secrets are %v", team.GetSecretsRevealed())
	}
	if len(team.GetDenials()) != 0 || len(team.GetBudgetUse()) != 1 || team.GetBudgetUse()[0].GetChangeCalls() < 2 {
		t.Errorf("denials %v, budget %v", team.GetDenials(), team.GetBudgetUse())
	}
	all, err := s.as(t, auditor).audit.SummarizeAuditEvents(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if all.GetTotal().GetEvents() <= want || len(all.GetDenials()) != 1 || all.GetDenials()[0].GetActor() != "search-bot" || all.GetActors() < 3 {
		t.Errorf("the whole summary is %v", all)
	}
	stranger, err := s.as(t, w.search).audit.SummarizeAuditEvents(t.Context(), &pb.SummarizeAuditEventsRequest{
		StartTime: hoursAgo(24), Filter: `team = "payments" OR NOT team = "payments"`,
	})
	if err != nil || strings.Contains(stranger.String(), "payments") || len(stranger.GetTopChangedAgents()) > 0 {
		t.Errorf("a stranger's summary is %v, %v", stranger, err)
	}
	for name, bad := range map[string]*pb.SummarizeAuditEventsRequest{
		"no start": {}, "two years": {StartTime: hoursAgo(2 * 366 * 24)}, "backwards": {StartTime: hoursAgo(1), EndTime: hoursAgo(2)},
		"a filter of nonsense": {StartTime: hoursAgo(1), Filter: "((("},
	} {
		_, err := s.as(t, auditor).audit.SummarizeAuditEvents(t.Context(), bad)
		if connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func hoursAgo(n int) *timestamppb.Timestamp {
	return timestamppb.New(time.Now().Add(-time.Duration(n) * time.Hour))
}
