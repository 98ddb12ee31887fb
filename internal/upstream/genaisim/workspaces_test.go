package genaisim

import (
	"strings"
	"testing"
	"time"
)

const workspacesPath = "/v2/gen-ai/workspaces"

// workspace makes a workspace with some agents and returns its id.
func (s *sim) workspace(name string, agents ...string) string {
	s.t.Helper()
	got := s.do(200, "POST", workspacesPath, `{"name":"`+name+`","agent_uuids":["`+strings.Join(agents, `","`)+`"]}`)
	return text(got.body, "workspace", "uuid")
}

// agentsOf are the ids of the agents in a workspace, as it shows them itself.
func (s *sim) agentsOf(workspace string) string {
	s.t.Helper()
	return column(objects(s.do(200, "GET", workspacesPath+"/"+workspace, "").body, "workspace", "agents"), "uuid")
}

func TestWorkspaces(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now})
	a, b := s.create("a"), s.create("b")

	got := s.do(200, "POST", workspacesPath, `{"name":"w","description":"d","agent_uuids":["`+b+`","`+a+`"]}`)

	workspace := object(got.body, "workspace")
	id := text(workspace, "uuid")
	s.wantEffect("created workspace " + id)
	equal(t, "resource", s.last().ResourceUUID, id)
	equal(t, "fields it has not", s.left("Workspace", workspace), "deleted_at")
	equal(t, "created by", text(workspace, "created_by")+" "+text(workspace, "created_by_email"), OwnerID+" "+OwnerEmail)
	equal(t, "agents", column(objects(workspace, "agents"), "uuid"), a+" "+b)
	equal(t, "test cases", len(objects(workspace, "evaluation_test_cases")), 0)
	s.workspace("empty")
	list := s.do(200, "GET", workspacesPath, "")
	equal(t, "list", column(objects(list.body, "workspaces"), "name"), "w empty")
	equal(t, "agents in the list", column(objects(objects(list.body, "workspaces")[0], "agents"), "name"), "a b")
	agent := s.agent(a)
	equal(t, "workspace of an agent", s.left("Workspace", object(agent, "workspace")), "agents deleted_at evaluation_test_cases")
	equal(t, "its name", text(agent, "workspace", "name"), "w")

	now.advance(time.Minute)
	s.do(200, "PUT", workspacesPath+"/"+id, `{"name":"w","workspace_uuid":"`+id+`"}`)
	s.wantEffect(NoEffect)
	workspace = object(s.do(200, "PUT", workspacesPath+"/"+id, `{"description":""}`).body, "workspace")
	s.wantEffect("updated workspace " + id)
	equal(t, "merged", text(workspace, "name")+text(workspace, "description")+" "+text(workspace, "updated_at"), "w 2026-06-01T12:01:00Z")

	s.do(200, "DELETE", agentsPath+"/"+b, "")
	equal(t, "agents after one was deleted", s.agentsOf(id), a)
	before := len(s.versions(a))
	equal(t, "answer", text(s.do(200, "DELETE", workspacesPath+"/"+id, "").body, "workspace_uuid"), id)
	s.wantEffect("deleted workspace " + id)
	agent = s.agent(a)
	equal(t, "workspace of the agent", at(agent, "workspace"), nil)
	equal(t, "agent updated", text(agent, "updated_at"), "2026-06-01T12:01:00Z")
	equal(t, "versions by that", len(s.versions(a))-before, 0)
	for _, request := range [][2]string{{"GET", ""}, {"PUT", ""}, {"DELETE", ""}, {"GET", "/agents"}, {"PUT", "/agents"}} {
		s.do(404, request[0], workspacesPath+"/"+id+request[1], "")
	}
	s.do(400, "POST", agentsPath, `{"name":"late","workspace_uuid":"`+id+`"}`)
}

func TestAgentsAreInOneWorkspace(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now})
	a, b := s.create("a"), s.create("b")
	one := s.workspace("one", a)
	born := text(s.do(200, "POST", agentsPath, `{"name":"c","workspace_uuid":"`+one+`"}`).body, "agent", "uuid")
	equal(t, "agents of the first", s.agentsOf(one), a+" "+born)
	two := s.workspace("two", a)
	equal(t, "agents left in the first", s.agentsOf(one), born)

	now.advance(time.Minute)
	hash := text(s.agent(b), "version_hash")
	got := s.do(200, "PUT", workspacesPath+"/"+two+"/agents", `{"agent_uuids":["`+b+`","`+born+`"],"workspace_uuid":"`+two+`"}`)
	s.wantEffect("moved agents to workspace " + two)
	equal(t, "agents of the second", column(objects(got.body, "workspace", "agents"), "uuid"), a+" "+b+" "+born)
	equal(t, "agents of the first", s.agentsOf(one), "")
	equal(t, "moved agent", text(s.agent(b), "workspace", "name")+" "+text(s.agent(b), "updated_at"), "two 2026-06-01T12:01:00Z")
	equal(t, "version of a moved agent", text(s.agent(b), "version_hash"), hash)
	equal(t, "agent that was there", text(s.agent(a), "updated_at"), "2026-06-01T12:00:00Z")
	s.do(200, "PUT", workspacesPath+"/"+two+"/agents", `{"agent_uuids":["`+b+`"]}`)
	s.wantEffect(NoEffect)

	// An old version does not bring back the old workspace.
	s.do(200, "PUT", agentsPath+"/"+b, `{"instruction":"New."}`)
	s.do(200, "PUT", agentsPath+"/"+b+"/versions", `{"version_hash":"`+hash+`"}`)
	equal(t, "after a rollback", text(s.agent(b), "workspace", "name"), "two")
}

func TestWorkspaceRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	a, b := s.create("a"), s.create("b")
	one := s.workspace("one", a)
	s.do(400, "POST", workspacesPath, `{"agent_uuids":["`+a+`"]}`)
	s.do(404, "POST", workspacesPath, `{"name":"x","agent_uuids":["`+a+`","`+unknownID+`"]}`)
	equal(t, "workspaces", len(objects(s.do(200, "GET", workspacesPath, "").body, "workspaces")), 1)
	s.do(400, "PUT", workspacesPath+"/"+one+"/agents", `{"agent_uuids":[]}`)
	s.do(404, "PUT", workspacesPath+"/"+one+"/agents", `{"agent_uuids":["`+b+`","`+unknownID+`"]}`)
	equal(t, "agents", s.agentsOf(one), a)
	s.do(404, "GET", workspacesPath+"/"+unknownID, "")
}

func TestAgentsOfAWorkspace(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, DeployTime: time.Minute})
	a := s.create("a")
	now.advance(time.Minute)
	b := s.create("b")
	s.create("elsewhere")
	s.do(200, "POST", agentsPath+"/"+a+"/child_agents/"+b, `{}`)
	path := workspacesPath + "/" + s.workspace("w", a, b) + "/agents"

	got := s.do(200, "GET", path, "")
	equal(t, "agents", column(objects(got.body, "agents"), "uuid"), a+" "+b)
	equal(t, "routes of a whole agent", column(objects(objects(got.body, "agents")[0], "child_agents"), "uuid"), b)
	equal(t, "workspace of each", column(objects(got.body, "agents"), "workspace", "name"), "w w")
	equal(t, "deployed ones", column(objects(s.do(200, "GET", path+"?only_deployed=true", "").body, "agents"), "uuid"), a)
	got = s.do(200, "GET", path+"?per_page=1&page=2", "")
	equal(t, "second page", column(objects(got.body, "agents"), "uuid")+" of "+text(got.body, "meta", "total"), b+" of 2")
}
