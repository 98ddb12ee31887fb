package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// chaosKinds are the kinds that clients make things of, and the vendor's list of each.
func chaosKinds() map[string][2]string {
	return map[string][2]string{
		"agent": {agentsPath, "agents"}, "knowledge_base": {basesPath, "knowledge_bases"}, "workspace": {workspacesPath, "workspaces"},
		"anthropic_key": {anthropicPath, "api_key_infos"}, "openai_key": {openAIPath, "api_key_infos"},
	}
}

// sameState compares our copy with the vendor, once a sync has gone by.
func (c *chaos) sameState(t *testing.T) {
	t.Helper()
	c.catchUp(t)
	things := 0
	for kind, where := range chaosKinds() {
		theirs := c.vendorHas(t, where[0], where[1])
		ours := column[string](t, c.world, `SELECT uuid || ' ' || name || ' ' || to_char(upstream_updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
			FROM resources WHERE kind = $1 AND deleted_at IS NULL`, kind)
		differ(t, "of kind "+kind, ours, theirs)
		things += len(theirs)
	}
	c.sameTies(t)
	agents := c.sameAgents(t)
	t.Logf("our copy and the vendor have the same %d things, of which %d agents with their parts and versions", things, agents)
}

// catchUp waits until our copy knows of all there is.
func (c *chaos) catchUp(t *testing.T) {
	t.Helper()
	by := c.hands[0].via(0)
	for kind, list := range map[string]func() error{
		"agent": func() error {
			_, err := by.agents.ListAgents(t.Context(), &pb.ListAgentsRequest{MaxStaleness: now()})
			return err
		},
		"knowledge_base": func() error {
			_, err := by.bases.ListKnowledgeBases(t.Context(), &pb.ListKnowledgeBasesRequest{MaxStaleness: now()})
			return err
		},
		"workspace": func() error {
			_, err := by.workspaces.ListWorkspaces(t.Context(), &pb.ListWorkspacesRequest{MaxStaleness: now()})
			return err
		},
		"anthropic_key": func() error {
			_, err := by.providers.ListAnthropicApiKeys(t.Context(), &pb.ListAnthropicApiKeysRequest{MaxStaleness: now()})
			return err
		},
		"openai_key": func() error {
			_, err := by.providers.ListOpenAiApiKeys(t.Context(), &pb.ListOpenAiApiKeysRequest{MaxStaleness: now()})
			return err
		},
	} {
		if err := list(); err != nil {
			t.Fatalf("listing kind %s afresh: %v", kind, err)
		}
	}
	awaitEvery(t, 100*time.Millisecond, "nothing is behind", func() bool {
		return c.count(t, "SELECT count(*) FROM resources WHERE dirty_since IS NOT NULL AND deleted_at IS NULL") == 0
	})
}

// ask asks the vendor itself.
func (v *vendor) ask(t *testing.T, path string, answer any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer test")
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), answer); err != nil || w.Code != http.StatusOK {
		t.Fatalf("the vendor answers %d to GET %s: %v", w.Code, path, err)
	}
}

// vendorHas lists all things of a kind, as uuid, name and the time of the last change.
func (c *chaos) vendorHas(t *testing.T, path, items string) []string {
	t.Helper()
	const size = 200
	for page, all := 1, []string(nil); ; page++ {
		var answer map[string]json.RawMessage
		query := fmt.Sprintf("?page=%d&per_page=%d", page, size)
		if path == workspacesPath {
			query = "" // all at once
		}
		c.vendor.ask(t, path+query, &answer)
		var found []struct {
			UUID      string `json:"uuid"`
			Name      string `json:"name"`
			UpdatedAt string `json:"updated_at"`
		}
		if err := json.Unmarshal(answer[items], &found); err != nil {
			t.Fatal(err)
		}
		for _, it := range found {
			all = append(all, it.UUID+" "+it.Name+" "+it.UpdatedAt)
		}
		if query == "" || len(found) < size {
			return all
		}
	}
}

// sameTies compares the routes and attachments that we have as open with the vendor's.
func (c *chaos) sameTies(t *testing.T) {
	t.Helper()
	var state struct {
		Agents []struct {
			UUID     string   `json:"uuid"`
			Children []string `json:"children"`
			Bases    []string `json:"knowledge_bases"`
		} `json:"agents"`
	}
	c.vendor.ask(t, "/_sim/state", &state)
	var theirs []string
	for _, a := range state.Agents {
		for _, child := range a.Children {
			theirs = append(theirs, a.UUID+" agent "+child)
		}
		for _, base := range a.Bases {
			theirs = append(theirs, a.UUID+" knowledge_base "+base)
		}
	}
	differ(t, "of routes", column[string](t, c.world, `SELECT agent_uuid || ' ' || kind || ' ' || target_uuid FROM agent_routes WHERE valid_to IS NULL`), theirs)
	// A version that was not shown when it was made may be ascribed to a later change that
	// touched the agent, but to none of another team's and to none that was never sent.
	for what, sql := range map[string]string{
		"versions": "SELECT v.agent_uuid, v.operation_id FROM agent_versions v WHERE v.operation_id IS NOT NULL",
		"routes":   "SELECT r.agent_uuid, r.opened_by FROM agent_routes r WHERE r.opened_by IS NOT NULL",
	} {
		n := c.count(t, `WITH ascribed (agent, operation) AS (`+sql+`) SELECT count(*) FROM ascribed WHERE NOT EXISTS (
			SELECT 1 FROM operations o JOIN resources a ON a.kind = 'agent' AND a.uuid = ascribed.agent AND a.team_id = o.team_id
			 WHERE o.id = ascribed.operation AND (o.state = 'SUCCEEDED' OR o.attempts > 1))`)
		if n != 0 {
			t.Errorf("%d %s are ascribed to operations that cannot have made them", n, what)
		}
	}
}

// sameAgents compares all agents whole, and their versions.
func (c *chaos) sameAgents(t *testing.T) int {
	t.Helper()
	var n sync.Map
	var teams sync.WaitGroup
	for _, h := range c.hands {
		teams.Go(func() {
			mine := h.agents
			if h.number%clientsPerTeam == 0 {
				mine = append(slices.Clone(mine), &chaosAgent{id: h.team.shared})
			}
			for _, a := range mine {
				h.sameAgent(t, a.id)
				n.Store(a.id, true)
			}
		})
	}
	teams.Wait()
	total := 0
	n.Range(func(any, any) bool { total++; return true })
	return total
}

func (h *hand) sameAgent(t *testing.T, id string) {
	t.Helper()
	by := h.via(h.number)
	copied, err := by.agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: id})
	if err != nil {
		t.Errorf("reading agent %s: %v", id, err)
		return
	}
	fresh, err := by.agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: id, MaxStaleness: now()})
	if err != nil || !proto.Equal(alone(copied.GetAgent()), alone(fresh.GetAgent())) {
		t.Errorf("our copy of agent %s is\n%v\nand the vendor has (%v)\n%v", id, copied.GetAgent(), err, fresh.GetAgent())
	}
	ours := column[string](t, h.run.world, "SELECT version_hash FROM agent_versions WHERE agent_uuid = $1", id)
	var theirs struct {
		Versions []struct {
			Hash string `json:"version_hash"`
		} `json:"agent_versions"`
	}
	h.run.vendor.ask(t, agentsPath+"/"+id+"/versions?per_page=200", &theirs)
	had := map[string]bool{}
	for _, v := range theirs.Versions {
		had[v.Hash] = true
	}
	for _, hash := range ours {
		if !had[hash] {
			t.Errorf("we have agent %s at a version %s that the vendor never had", id, hash)
		}
	}
}

// alone is an agent without what others are called: that is no change of the agent, and
// our copy learns of it when the agent is read next.
func alone(a *pb.Agent) *pb.Agent {
	for i, base := range a.GetKnowledgeBases() {
		a.KnowledgeBases[i] = &pb.KnowledgeBase{Uuid: base.Uuid}
	}
	return a
}

// differ tells what is in one of two lists alone.
func differ(t *testing.T, what string, ours, theirs []string) {
	t.Helper()
	for _, it := range ours {
		if !slices.Contains(theirs, it) {
			t.Errorf("%s we have %s, and the vendor does not", what, it)
		}
	}
	for _, it := range theirs {
		if !slices.Contains(ours, it) {
			t.Errorf("%s the vendor has %s, and we do not", what, it)
		}
	}
}
