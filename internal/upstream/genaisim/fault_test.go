package genaisim

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault  Fault
		broken bool // the connection breaks
		status int  // answered
		logged int
		body   string // contained in the answer
		header string // of the answer, X-Fault
		effect bool
		note   string // in the log
	}{
		"a status": {fault: Fault{Status: 500}, status: 500, logged: 500, body: `"id":"server_error"`, note: "status 500*"},
		"a status after the effect": {
			fault: Fault{Status: 503, After: true}, status: 503, logged: 503,
			body: `"service_unavailable"`, effect: true, note: "status 503*",
		},
		"a status with a body": {
			fault: Fault{Status: 429, Body: `{"id":"x"}`}, status: 429, logged: 429, body: `{"id":"x"}`, note: "status 429*",
		},
		"a dropped request": {fault: Fault{Drop: "before"}, broken: true, note: "drop before"},
		"a dropped answer":  {fault: Fault{Drop: "after"}, broken: true, effect: true, note: "drop after"},
		"garbage": {
			fault: Fault{Body: "<html>"}, status: 200, logged: 200, body: "<html>", effect: true, note: "body replaced",
		},
		"a header": {
			fault:  Fault{Headers: map[string]string{"X-Fault": "yes"}},
			status: 200, logged: 200, header: "yes", effect: true, note: "headers added",
		},
		"a delay": {
			fault:  Fault{DelayMS: 1, DelayAfterMS: 1},
			status: 200, logged: 200, effect: true, note: "delay 1 ms, delay 1 ms after the effect",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{})
			tc.fault.Method, tc.fault.Path, tc.fault.Count = "post", agentsPath, 1
			if err := s.SetFaults([]Fault{tc.fault}); err != nil {
				t.Fatal(err)
			}
			s.do(200, "GET", agentsPath, "") // another method

			got, err := s.try("POST", agentsPath, `{"name":"a"}`)

			equal(t, "connection broke", err != nil, tc.broken)
			equal(t, "status", got.status, tc.status)
			equal(t, "header", got.header.Get("X-Fault"), tc.header)
			if !strings.Contains(got.raw, tc.body) {
				t.Errorf("the answer is %q, want it to contain %q", got.raw, tc.body)
			}
			entry := s.last()
			equal(t, "status logged", entry.Status, tc.logged)
			equal(t, "effect logged", entry.Effect != NoEffect, tc.effect)
			if note, ok := strings.CutSuffix(tc.note, "*"); !strings.HasPrefix(entry.Fault, note) || !ok && entry.Fault != note {
				t.Errorf("fault logged %q, want %q", entry.Fault, tc.note)
			}
			equal(t, "agents", len(objects(s.do(200, "GET", agentsPath, "").body, "agents")) == 1, tc.effect)
			s.do(200, "POST", agentsPath, `{"name":"b"}`) // the count is used up
			equal(t, "fault logged", s.last().Fault, "")
		})
	}
}

func TestFaultsPickTheirRequests(t *testing.T) {
	t.Parallel()
	const id = "6a1f2c30-51d0-4e6b-8f00-000000000aaa"
	for name, tc := range map[string]struct {
		path string
		hits string // of the paths below
	}{
		"any path":        {"", "agents one versions models"},
		"a path":          {agentsPath, "agents"},
		"a template":      {agentsPath + "/{uuid}", "one"},
		"a long template": {agentsPath + "/{agent}/versions", "versions"},
		"a star":          {agentsPath + "/*", "one versions"},
		"a star for all":  {"*", "agents one versions models"},
		"a star inside":   {"/v2/*/versions", "versions"},
		"dots are dots":   {"/v2.gen-ai.agents", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{})
			if err := s.SetFaults([]Fault{{Path: tc.path, Status: 503}}); err != nil {
				t.Fatal(err)
			}
			var hits []string
			for _, target := range [][2]string{
				{"agents", agentsPath}, {"one", agentsPath + "/" + id},
				{"versions", agentsPath + "/" + id + "/versions"}, {"models", "/v2/gen-ai/models"},
			} {
				got, err := s.try("GET", target[1], "")
				if err != nil {
					t.Fatal(err)
				}
				if got.status == 503 {
					hits = append(hits, target[0])
				}
			}
			equal(t, "paths hit", strings.Join(hits, " "), tc.hits)
		})
	}
}

func TestFaultsSkipCountAndChance(t *testing.T) {
	t.Parallel()
	hits := func(t *testing.T, requests int, rules ...Fault) string {
		t.Helper()
		s := start(t, Config{Seed: 5})
		if err := s.SetFaults(rules); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for range requests {
			reply, err := s.try("GET", "/v2/gen-ai/regions", "")
			if err != nil {
				t.Fatal(err)
			}
			got.WriteByte("23456"[reply.status/100-2])
		}
		return got.String()
	}
	equal(t, "skip 2, count 2", hits(t, 6, Fault{Status: 500, Skip: 2, Count: 2}), "225522")
	equal(t, "always", hits(t, 3, Fault{Status: 500}), "555")
	equal(t, "one rule after the other", hits(t, 4, Fault{Status: 500, Count: 1}, Fault{Status: 404, Count: 2}), "5442")
	chance := hits(t, 200, Fault{Status: 500, Probability: 0.25})
	if n := strings.Count(chance, "5"); n < 25 || n > 75 {
		t.Errorf("a chance of a quarter hit %d of 200", n)
	}
	equal(t, "chance again", hits(t, 200, Fault{Status: 500, Probability: 0.25}), chance)
}

func TestFaultsThatAreWrong(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	if err := s.SetFaults([]Fault{{Status: 500}}); err != nil {
		t.Fatal(err)
	}
	err := s.SetFaults([]Fault{{Status: 20}, {Drop: "during"}, {Probability: 2, Status: 500}, {DelayMS: -1}, {Path: "/x"}, {Status: 500}})
	if err == nil {
		t.Fatal("wrong faults were accepted")
	}
	for _, want := range []string{
		"fault 0: status 20", `fault 1: drop is "during"`, "fault 2: probability 2", "fault 3: a delay", "fault 4: it does nothing",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not tell %q: %v", want, err)
		}
	}
	s.do(500, "GET", agentsPath, "") // those before are still there
}

// TestClientsThatGiveUp: a client that stops waiting does not undo its request.
func TestClientsThatGiveUp(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]Fault{
		"before the effect": {Method: "POST", DelayMS: 60_000},
		"after the effect":  {Method: "POST", DelayAfterMS: 60_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{})
			if err := s.SetFaults([]Fault{fault}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+agentsPath, strings.NewReader(`{"name":"late"}`))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer test")

			if _, err := s.send(r); err == nil {
				t.Fatal("the client did not give up")
			}

			deadline := time.Now().Add(10 * time.Second)
			for len(s.Requests()) == 0 && time.Now().Before(deadline) {
				s.do(200, "GET", "/_sim/state", "") // takes its time, so this is no busy loop
			}
			s.wantEffect("created agent *")
		})
	}
}
