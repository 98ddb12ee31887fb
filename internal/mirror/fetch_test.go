package mirror

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestAgentVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	id := w.create("v0")
	for i := range 5 {
		w.do(&pb.UpdateAgentRequest{Uuid: id, Name: new(fmt.Sprintf("v%d", i+1))})
	}
	list := func(req *pb.ListAgentVersionsRequest) *pb.ListAgentVersionsResponse {
		t.Helper()
		req.Uuid = id
		got, err := w.ListAgentVersions(t.Context(), w.payer, req)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	start := w.mark()
	got := list(&pb.ListAgentVersionsRequest{PageSize: 4})
	if got.GetTotalSize() != 6 || len(got.GetAgentVersions()) != 4 || got.GetFreshness().GetSource() != fromVendor {
		t.Errorf("got %v", got)
	}
	rest := list(&pb.ListAgentVersionsRequest{PageSize: 4, PageToken: got.GetNextPageToken()})
	if len(rest.GetAgentVersions()) != 2 || rest.GetNextPageToken() != "" || rest.GetFreshness().GetSource() != fromMirror {
		t.Errorf("got %v", rest)
	}
	var names []string
	for _, version := range append(got.GetAgentVersions(), rest.GetAgentVersions()...) {
		names = append(names, version.GetName())
		if version.GetCurrentlyApplied() != (version.GetName() == "v5") {
			t.Errorf("applied: %v", version)
		}
	}
	if diff := cmp.Diff([]string{"v5", "v4", "v3", "v2", "v1", "v0"}, names); diff != "" {
		t.Error(diff)
	}
	if n := w.asked(start)[getVersions]; n != 1 {
		t.Errorf("%d calls", n)
	}
	// Another version: the list is known to be behind, and which is applied is right.
	w.do(&pb.UpdateAgentRequest{Uuid: id, Name: new("v6")})
	start = w.mark()
	got = list(&pb.ListAgentVersionsRequest{})
	if len(got.GetAgentVersions()) != 7 || !got.GetAgentVersions()[0].GetCurrentlyApplied() || got.GetAgentVersions()[1].GetCurrentlyApplied() {
		t.Errorf("got %v", got)
	}
	list(&pb.ListAgentVersionsRequest{MaxStaleness: durationpb.New(time.Hour)})
	if n := w.asked(start)[getVersions]; n != 1 {
		t.Errorf("%d calls", n)
	}
	list(&pb.ListAgentVersionsRequest{MaxStaleness: durationpb.New(0)})
	// After a rollback the agent is behind, so its versions are.
	w.do(&pb.RollbackAgentVersionRequest{Uuid: id, VersionHash: got.GetAgentVersions()[3].VersionHash})
	got = list(&pb.ListAgentVersionsRequest{})
	if len(got.GetAgentVersions()) != 8 || got.GetAgentVersions()[0].GetName() != "v3" {
		t.Errorf("got %v", got)
	}
	if n := w.asked(start)[getVersions]; n != 3 {
		t.Errorf("%d calls", n)
	}
	// Attribution outlives the vendor's list.
	if n := one[int64](w, "SELECT count(*) FROM agent_versions WHERE actor = 'pat@example.com' AND body IS NOT NULL"); n != 8 {
		t.Errorf("%d versions are attributed", n)
	}
	_, err := w.ListAgentVersions(t.Context(), w.payer, &pb.ListAgentVersionsRequest{Uuid: id, PageToken: rest.GetNextPageToken() + "x"})
	requireReason(t, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, err)
	_, err = w.ListAgentVersions(t.Context(), w.payer, &pb.ListAgentVersionsRequest{Uuid: id, Page: new(int32(2))})
	requireReason(t, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, err)
	_, err = w.ListAgentVersions(t.Context(), w.auditor, &pb.ListAgentVersionsRequest{Uuid: uuid.NewString()})
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
}

func TestFetchPagesWithOurTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	id := w.create("checkout")
	for i := range 5 {
		w.do(&pb.CreateAgentApiKeyRequest{AgentUuid: id, Name: new(fmt.Sprintf("key%d", i))})
	}
	var names []string
	req := &pb.ListAgentApiKeysRequest{AgentUuid: id, PageSize: 2}
	for {
		resp := &pb.ListAgentApiKeysResponse{}
		if err := w.Fetch(t.Context(), w.payer, req, resp); err != nil {
			t.Fatal(err)
		}
		for _, key := range resp.GetApiKeyInfos() {
			names = append(names, key.GetName())
		}
		if resp.GetTotalSize() != 5 || resp.GetFreshness().GetSource() != fromVendor {
			t.Errorf("got %v", resp)
		}
		if resp.GetNextPageToken() == "" {
			break
		}
		req.PageToken = resp.GetNextPageToken()
	}
	if diff := cmp.Diff([]string{"key0", "key1", "key2", "key3", "key4"}, names); diff != "" {
		t.Error(diff)
	}
	for name, req := range map[string]*pb.ListAgentApiKeysRequest{
		"the vendor's page":      {AgentUuid: id, Page: new(int32(2))},
		"the vendor's page size": {AgentUuid: id, PerPage: new(int32(2))},
		"another agent's token":  {AgentUuid: uuid.NewString(), PageToken: req.GetPageToken()},
		"a token made up":        {AgentUuid: id, PageToken: "Ag"},
	} {
		t.Run(name, func(t *testing.T) {
			requireReason(t, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, w.Fetch(t.Context(), w.payer, req, &pb.ListAgentApiKeysResponse{}))
		})
	}
	usage := &pb.GetAgentUsageResponse{}
	if err := w.Fetch(t.Context(), w.payer, &pb.GetAgentUsageRequest{Uuid: id}, usage); err != nil || usage.GetFreshness().GetSyncedAt() == nil {
		t.Errorf("got %v, %v", usage, err)
	}
	if one[int64](w, "SELECT count(*) FROM vendor_calls WHERE team_id = $1", w.payments) == 0 {
		t.Error("the budget's log does not say who asked")
	}
}

func TestRefreshTellsTheVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	id := w.create("checkout")
	agent, _ := w.console("POST", "agents/"+id, `{"name":"elsewhere"}`)["agent"].(map[string]any)
	version, updated, err := w.Refresh(t.Context(), budget.Change, agentKind, uuid.MustParse(id))
	if err != nil || version != agent["version_hash"] || updated.Format(time.RFC3339) != agent["updated_at"] {
		t.Errorf("got %s, %s, %v", version, updated, err)
	}
	if row := w.row(id); row.Name != "elsewhere" || row.VersionHash != version {
		t.Errorf("row: %+v", row)
	}
	if d := w.drifts(); len(d) != 1 || d[0].After["name"] != "elsewhere" || d[0].Before["name"] != "checkout" {
		t.Errorf("drift: %v", d)
	}
	w.console("DELETE", "agents/"+id, "")
	for range 2 { // one look that finds nothing is not believed
		if w.row(id).DeletedAt != nil {
			t.Error("it is gone already")
		}
		_, _, err = w.Refresh(t.Context(), budget.Change, agentKind, uuid.MustParse(id))
		requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
		w.later()
	}
	if w.row(id).DeletedAt == nil {
		t.Error("it is still there")
	}
}

// TestAReadWhoseConnectionBrokeIsAskedAgain has the vendor drop kept connections: the caller
// notices nothing, and each request that arrived has a grant.
func TestAReadWhoseConnectionBrokeIsAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	id := w.create("agent")
	if err := w.Fetch(t.Context(), w.payer, &pb.GetAgentUsageRequest{Uuid: id}, &pb.GetAgentUsageResponse{}); err != nil {
		t.Fatal(err)
	}
	granted := func() (n int) {
		t.Helper()
		if err := w.pool.QueryRow(t.Context(), "SELECT count(*) FROM vendor_calls WHERE purpose = 'READ'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	calls, requests := granted(), len(w.sim.Requests())
	if err := w.sim.SetFaults([]genaisim.Fault{{Method: "GET", Drop: "before", Count: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Fetch(t.Context(), w.payer, &pb.GetAgentUsageRequest{Uuid: id}, &pb.GetAgentUsageResponse{}); err != nil {
		t.Fatal(err)
	}
	if arrived := len(w.sim.Requests()) - requests; arrived != 2 || granted()-calls != arrived {
		t.Errorf("%d requests arrived, with %d grants", arrived, granted()-calls)
	}
}
