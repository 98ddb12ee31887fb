package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// tables are the tables of the database with all that is in them, as text: what is bytes
// is there as bytes as well.
func (w *world) tables(t *testing.T) (all map[string]string, count int) {
	t.Helper()
	names := column[string](t, w, `SELECT c.oid::regclass::text FROM pg_class c
		WHERE c.relkind IN ('r', 'm') AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
		AND c.relnamespace::regnamespace::text !~ '^pg_' ORDER BY 1`)
	all = map[string]string{}
	for _, name := range names {
		rows, err := w.rows.Query(t.Context(), "SELECT row_to_json(r)::text FROM "+name+" r")
		if err != nil {
			t.Fatalf("reading %s: %v", name, err)
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("reading %s: %v", name, err)
		}
		all[name] = withBytes(strings.Join(texts, "\n"))
		count += len(texts)
	}
	return all, count
}

// withBytes is a text and what is in its bytes, which Postgres writes as hexadecimals.
func withBytes(text string) string {
	var all strings.Builder
	all.WriteString(text)
	for _, found := range regexp.MustCompile(`\\x([0-9a-f]+)`).FindAllStringSubmatch(text, -1) {
		if raw, err := hex.DecodeString(found[1]); err == nil {
			all.WriteByte('\n')
			all.Write(raw)
		}
	}
	return all.String()
}

// text is all that an error tells, its details included.
func (e *wireError) text(raw []byte) string {
	all := []string{string(raw)}
	for _, d := range e.Details {
		if detail, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(d.Value, "=")); err == nil {
			all = append(all, string(detail))
		}
	}
	return strings.Join(all, "\n")
}

// hunt looks for markers wherever the service keeps or tells anything.
func (h *markerWalk) hunt(t *testing.T, when string) {
	t.Helper()
	tables, rows := h.tables(t)
	for name, text := range tables {
		h.wantNone(t, when+", table "+name, text)
	}
	h.wantNone(t, when+", the log", h.service.String())
	status, metrics := get(t, h.service.url+"/metrics")
	if status == http.StatusOK {
		h.wantNone(t, when+", the metrics", metrics)
	}
	events := h.all(t, "AuditService.ListAuditEvents", func(raw []byte) (string, int) {
		resp := &pb.ListAuditEventsResponse{}
		h.read(t, raw, resp)
		return resp.GetNextPageToken(), len(resp.GetEvents())
	}, when)
	h.exports(t, when)
	operations := h.all(t, "OperationService.ListOperations", func(raw []byte) (string, int) {
		resp := &pb.ListOperationsResponse{}
		h.read(t, raw, resp)
		for _, op := range resp.GetOperations() {
			one, raw, failure := h.caller.call(t, methods.API().ByName("OperationService.GetOperation"), &pb.GetOperationRequest{Id: op.GetId()})
			if failure != nil {
				t.Errorf("reading operation %s: %s", op.GetId(), failure)
				continue
			}
			h.wantNone(t, when+", operation of "+op.GetMethod(), string(raw)+one.(*pb.GetOperationResponse).String())
		}
		return resp.GetNextPageToken(), len(resp.GetOperations())
	}, when)
	t.Logf("%s: looked for secrets in %d rows, %d events, %d operations and %d bytes of log", when, rows, events, operations, len(h.service.String()))
	if operations == 0 || events == 0 {
		t.Error("there was nothing to look at")
	}
}

// exports looks into all forms in which the history leaves the service, as an administrator and by the command line.
func (h *markerWalk) exports(t *testing.T, when string) {
	t.Helper()
	for _, path := range []string{"/audit/export.csv", "/audit/export.jsonl", "/audit/export.jsonl?format=ocsf"} {
		got := h.service.download(t, h.admin, path)
		if got.status != http.StatusOK || got.trailer.Get("Agentsvc-Sha256") == "" || len(got.body) == 0 {
			t.Errorf("%s answers %d with %v and %d bytes", path, got.status, got.trailer, len(got.body))
		}
		h.wantNone(t, when+", "+path, got.body)
	}
	report := run(t, environment("DATABASE_URL="+h.database), "audit", "report", "--month", time.Now().UTC().Format("2006-01"))
	if !strings.Contains(report, "Denials") {
		t.Error("there is no report")
	}
	h.wantNone(t, when+", the report", report)
	_, raw, failure := h.caller.call(t, methods.API().ByName("AuditService.SummarizeAuditEvents"), &pb.SummarizeAuditEventsRequest{StartTime: hoursAgo(24)})
	if failure != nil {
		t.Errorf("the summary: %s", failure)
	}
	h.wantNone(t, when+", the summary", string(raw))
	for _, view := range []string{"events", "operations", "vendor_calls", "resources", "agent_versions", "routes"} {
		h.wantNone(t, when+", the view "+view, strings.Join(column[string](t, h.world, "SELECT row_to_json(v)::text FROM reporting."+view+" v"), "\n"))
	}
}

// all goes through a list of ours, as an administrator, and answers how many items there were.
func (h *markerWalk) all(t *testing.T, name string, page func(raw []byte) (next string, items int), when string) int {
	t.Helper()
	m := methods.API().ByName(name)
	req := m.Input.New().Interface()
	total := 0
	var seen bytes.Buffer
	defer func() { h.wantNone(t, when+", "+name, seen.String()) }()
	for {
		_, raw, failure := h.caller.call(t, m, req)
		if failure != nil {
			t.Errorf("%s: %s", name, failure)
			return total
		}
		seen.Write(raw)
		next, n := page(raw)
		if total += n; next == "" {
			return total
		}
		ours{pageToken: next}.set(m, req)
	}
}

func (h *markerWalk) read(t *testing.T, raw []byte, into proto.Message) {
	t.Helper()
	if err := proto.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// arrived says how many of the secrets came to the vendor: those that did not were not
// there to be lost on the way back.
func (h *markerWalk) arrived(secrets []string) int {
	seen, _ := h.vendor.played()
	n := 0
	for _, secret := range secrets {
		for _, a := range seen {
			if strings.Contains(string(a.body), secret) {
				n++
				break
			}
		}
	}
	return n
}

// sealed is how many rows of the operations have something sealed.
func (h *markerWalk) sealed(t *testing.T, what string) int {
	t.Helper()
	return h.count(t, fmt.Sprintf("SELECT count(*) FROM operations WHERE sealed_%s IS NOT NULL", what))
}
