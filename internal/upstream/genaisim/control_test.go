package genaisim

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func (s *sim) logLines(query string) []Request {
	s.t.Helper()
	var entries []Request
	lines := bufio.NewScanner(strings.NewReader(s.do(200, "GET", "/_sim/requests"+query, "").raw))
	for lines.Scan() {
		var entry Request
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			s.t.Fatalf("line %q: %v", lines.Text(), err)
		}
		entries = append(entries, entry)
	}
	return entries
}

func TestRequestLog(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{RatePerHour: 10, Now: now.Now})
	id := s.create("a")
	s.do(200, "GET", agentsPath+"?page=1&odd=2", "")
	s.do(400, "PUT", agentsPath+"/"+id, "no json <")
	s.do(200, "PUT", agentsPath+"/"+id, "{\n  \"name\":\n \"lines\"}")

	entries := s.logLines("")

	equal(t, "entries", len(entries), 4)
	equal(t, "body of several lines", string(entries[3].Body), `{"name":"lines"}`)
	first, second, third := entries[0], entries[1], entries[2]
	equal(t, "operation", first.Operation, "POST "+agentsPath)
	equal(t, "effect", first.Effect, "created agent "+id)
	equal(t, "body", string(first.Body), `{"name":"a","model_uuid":"`+ModelLlama+`"}`)
	equal(t, "remaining", first.RateLimitRemaining, 9)
	equal(t, "user agent", first.UserAgent, "Go-http-client/1.1")
	if !first.Time.Equal(now.Now()) || first.RequestID == "" {
		t.Errorf("time %v, request id %q", first.Time, first.RequestID)
	}
	equal(t, "query", second.Query, "page=1&odd=2")
	equal(t, "deviation", strings.Join(second.Deviations, ";"), `query parameter "odd": unknown parameter`)
	equal(t, "effect", second.Effect, NoEffect)
	equal(t, "body that is not JSON", string(third.Body), `"no json \u003c"`)
	equal(t, "path", third.Path, agentsPath+"/"+id)
	equal(t, "operation", third.Operation, "PUT "+agentsPath+"/{uuid}")
	equal(t, "status", third.Status, 400)
	for i, entry := range entries {
		equal(t, "seq", entry.Seq, i+1)
	}
	since := s.logLines("?since=2")
	equal(t, "entries since", len(since), 2)
	equal(t, "seq since", since[0].Seq, 3)
	equal(t, "entries since the last", len(s.logLines("?since=4")), 0)
	s.do(400, "GET", "/_sim/requests?since=x", "")
}

func TestControlOfFaultsAndReset(t *testing.T) {
	t.Parallel()
	s := start(t, Config{SeedAgents: 2, RatePerHour: 50, Token: "test"})
	s.create("a")
	s.do(200, "PUT", "/_sim/faults", `[{"method":"GET","path":"/v2/gen-ai/agents/{uuid}","status":500,"count":1,"headers":{"X":"y"}}]`)
	s.do(500, "GET", agentsPath+"/"+unknownID, "")
	if got := s.do(200, "GET", "/_sim/faults", ""); !strings.Contains(got.raw, `"matched":1,"applied":1`) {
		t.Errorf("the faults do not tell how often they applied: %s", got.raw)
	}
	for _, body := range []string{`{}`, `[{"stauts":500}]`, `[{"status":1}]`, `[`} {
		s.do(400, "PUT", "/_sim/faults", body)
	}
	equal(t, "faults after deletion", strings.TrimSpace(s.do(200, "DELETE", "/_sim/faults", "").raw), "[]")
	s.do(200, "PUT", "/_sim/faults", `[{"status":500}]`)

	got := s.do(200, "POST", "/_sim/reset", "")

	equal(t, "agents", text(got.body, "counts", "agents"), "2")
	equal(t, "requests", text(got.body, "counts", "requests"), "0")
	list := s.do(200, "GET", agentsPath, "")
	equal(t, "remaining", list.header.Get("ratelimit-remaining"), "49")
	equal(t, "seq", s.last().Seq, 1)
	s.do(404, "GET", "/_sim/nothing", "")
	s.do(404, "POST", "/_sim/state", "")
}

func TestStateIsDescribed(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	parent, child := s.create("p"), s.create("c")
	s.do(200, "POST", agentsPath+"/"+parent+"/child_agents/"+child, ``)
	s.do(200, "POST", agentsPath+"/"+parent+"/api_keys", `{"name":"k"}`)
	s.do(200, "POST", agentsPath+"/"+parent+"/knowledge_bases/"+KnowledgeBaseA, ``)
	s.do(404, "DELETE", agentsPath+"/"+unknownID, ``)

	state := s.do(200, "GET", "/_sim/state", "").body

	for count, want := range map[string]string{
		"agents": "2", "versions": "4", "routes": "1", "api_keys": "1", "functions": "0", "requests": "6", "effects": "5",
		"knowledge_bases": "3", "guardrails": "3", "models": "7",
	} {
		equal(t, count, text(state, "counts", count), want)
	}
	equal(t, "status", text(objects(state, "agents")[0], "status"), statusRunning)
	equal(t, "agents", column(objects(state, "agents"), "name"), "p c")
}

func TestChangesFromTheConsole(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true, RatePerHour: 100})
	id := s.create("mine")
	console := "/_sim/agents/" + id

	s.do(200, "POST", console, `{"name":"theirs","temperature":0,"visibility":"VISIBILITY_PUBLIC"}`)
	agent := s.agent(id)
	equal(t, "name", text(agent, "name"), "theirs")
	equal(t, "temperature", text(agent, "temperature"), "0")
	equal(t, "visibility", text(agent, "deployment", "visibility"), "VISIBILITY_PUBLIC")
	versions := s.versions(id)
	equal(t, "creators", column(versions, "created_by_email"), ConsoleEmail+" "+ConsoleEmail+" "+OwnerEmail)
	s.do(200, "POST", console, `{"name":"theirs"}`)
	equal(t, "versions", len(s.versions(id)), 3)
	s.do(400, "POST", console, `{"nickname":"x"}`)
	s.do(400, "POST", console, ``)
	s.do(400, "POST", console, `{"temperature":3}`)
	s.do(404, "POST", "/_sim/agents/"+unknownID, `{"name":"x"}`)

	made := text(s.do(200, "POST", "/_sim/agents", `{"name":"new"}`).body, "agent", "uuid")
	equal(t, "creator", text(s.agent(made), "user_id"), ConsoleID)
	s.do(400, "POST", "/_sim/agents", `{}`)
	s.do(200, "DELETE", "/_sim/agents/"+made, "")
	s.do(404, "GET", agentsPath+"/"+made, "")
	s.do(404, "DELETE", "/_sim/agents/"+made, "")
	s.do(404, "DELETE", "/_sim/knowledge_bases/"+unknownID, "")
	s.do(404, "DELETE", "/_sim/guardrails/"+unknownID, "")

	for _, entry := range s.Requests() {
		if strings.HasPrefix(entry.Path, controlPrefix) {
			t.Errorf("the log has a control call: %v", entry)
		}
	}
	if !strings.HasPrefix(s.last().Operation, "GET ") {
		t.Errorf("last logged is %v", s.last())
	}
}

// TestManyClientsAtOnce: whatever the order, the log tells it.
func TestManyClientsAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, Config{RatePerMinute: 1000, RatePerHour: 10_000, SeedAgents: 10})
	shared := s.create("shared")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 10 {
				name := strings.Repeat("x", i+1)
				got, err := s.try("POST", agentsPath, `{"name":"`+name+`"}`)
				if err != nil {
					t.Error(err)
					return
				}
				id := text(got.body, "agent", "uuid")
				for _, request := range [][3]string{
					{"PUT", agentsPath + "/" + shared, `{"name":"` + id + `"}`},
					{"POST", agentsPath + "/" + shared + "/child_agents/" + id, ``},
					{"GET", agentsPath + "/" + shared, ``},
					{"DELETE", agentsPath + "/" + id, ``},
					{"GET", "/_sim/requests?since=50", ``},
				} {
					if got, err := s.try(request[0], request[1], request[2]); err != nil || got.status != 200 {
						t.Errorf("%v: %d %v", request, got.status, err)
					}
				}
			}
		})
	}
	wg.Wait()

	renamed := ""
	for i, entry := range s.Requests() {
		equal(t, "seq", entry.Seq, i+1)
		if entry.Effect == "updated agent "+shared {
			var body struct {
				Name string `json:"name"`
			}
			if err := json.Unmarshal(entry.Body, &body); err != nil {
				t.Fatal(err)
			}
			renamed = body.Name
		}
	}
	equal(t, "name by the log", text(s.agent(shared), "name"), renamed)
	equal(t, "versions", len(s.versions(shared)), 161)
	equal(t, "children", len(objects(s.agent(shared), "child_agents")), 0)
	equal(t, "agents", text(s.do(200, "GET", "/_sim/state", "").body, "counts", "agents"), "11")
}

func TestServeUntilDone(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var cfg Config
	flags := flag.NewFlagSet("sim", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	BindFlags(flags, &cfg)
	equal(t, "deploy time by default", cfg.DeployTime, 5*time.Second)
	if err := flags.Parse([]string{"--seed-agents", "3", "--strict", "--deploy-seconds", "1.5", "--rate-per-minute", "9"}); err != nil {
		t.Fatal(err)
	}
	equal(t, "deploy time", cfg.DeployTime, 1500*time.Millisecond)
	equal(t, "limits", [2]int{cfg.RatePerMinute, cfg.RatePerHour}, [2]int{9, 5000})
	equal(t, "strict", cfg.Strict, true)
	if err := flags.Parse([]string{"--deploy-seconds", "-1"}); err == nil {
		t.Error("a negative deploy time was accepted")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, New(cfg)) }()

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+"/_sim/state", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	equal(t, "status", resp.StatusCode, 200)
	stop()
	if err := <-ended; err != nil {
		t.Errorf("serving ended with %v", err)
	}

	if err := Serve(t.Context(), listener, New(Config{})); err == nil {
		t.Error("serving on a closed listener ended without an error")
	}
}
