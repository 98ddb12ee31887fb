package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// caller calls methods by their descriptors, over Connect in binary.
type caller struct {
	s     *service
	http  *http.Client
	token string
}

func (s *service) caller(t *testing.T, token string) *caller {
	t.Helper()
	return &caller{s: s, http: &http.Client{Transport: bearer{token: token, next: newTransport(t, false)}}, token: token}
}

// call makes a call and answers the response as it came: raw, and read, or the error.
func (c *caller) call(t *testing.T, m *methods.Method, req proto.Message) (resp proto.Message, raw []byte, failure *wireError) {
	t.Helper()
	text, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	status, raw := c.send(t, m.Procedure, "application/proto", text)
	if status != http.StatusOK {
		failure = &wireError{status: status}
		if err := json.Unmarshal(raw, failure); err != nil {
			t.Errorf("%s: the error is not JSON: %q", m.Name, raw)
		}
		return nil, raw, failure
	}
	resp = m.Output.New().Interface()
	if err := proto.Unmarshal(raw, resp); err != nil {
		t.Fatalf("%s: the answer cannot be read: %v", m.Name, err)
	}
	return resp, raw, nil
}

// send posts a body.
func (c *caller) send(t *testing.T, procedure, contentType string, body []byte) (status int, raw []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.s.url+procedure, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Connect-Protocol-Version", "1")
	resp, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, raw
}

// ours are values for the fields that are ours, in a request of a method.
type ours struct {
	team, reason, key string
	async             bool
	stale             bool // what we hold is fresh enough
	pageSize          int32
	pageToken         string
}

// set gives the request those of the fields that it has. Reads ask for what is not stale.
func (o ours) set(m *methods.Method, req proto.Message) {
	message := req.ProtoReflect()
	field := func(name protoreflect.Name) protoreflect.FieldDescriptor {
		return message.Descriptor().Fields().ByName(name)
	}
	text := func(name protoreflect.Name, value string) {
		if fd := field(name); fd != nil && methods.Local(fd) && value != "" {
			message.Set(fd, protoreflect.ValueOfString(value))
		}
	}
	targets := m.Access.GetTargets()
	creates := len(targets) > 0 && targets[0].GetKind() == "team"
	if fd := field("mutation"); fd != nil {
		options := &pb.MutationOptions{Reason: o.reason, IdempotencyKey: o.key, Async: o.async}
		if creates {
			options.Team = o.team
		}
		message.Set(fd, protoreflect.ValueOfMessage(options.ProtoReflect()))
	}
	if creates {
		text("team", o.team)
	}
	text("reason", o.reason)
	if fd := field("page_token"); fd != nil {
		message.Set(fd, protoreflect.ValueOfString(o.pageToken))
	}
	if fd := field("page_size"); fd != nil && o.pageSize > 0 {
		message.Set(fd, protoreflect.ValueOfInt32(o.pageSize))
	}
	if fd := field("max_staleness"); fd != nil && o.stale {
		message.Clear(fd)
	} else if fd != nil {
		message.Set(fd, protoreflect.ValueOfMessage((&durationpb.Duration{}).ProtoReflect()))
	}
}

// seed lets the service know of the resources that a request names, as if it had listed
// them.
func (w *world) seed(t *testing.T, m *methods.Method, req proto.Message) {
	t.Helper()
	for _, target := range m.Access.GetTargets() {
		if target.GetKind() == "team" || target.GetByName() && target.GetIfKnown() {
			continue
		}
		for i, called := range methods.Strings(req, target.GetField()) {
			if target.GetByName() {
				w.knowAs(t, target.GetKind(), numberedUUID(1<<30+w.count(t, "SELECT count(*) FROM resources")+i), called, "payments")
				continue
			}
			w.know(t, target.GetKind(), called, "payments")
		}
	}
}

// know lets the service know of a resource of a team's; of nobody's if there is no such team.
func (w *world) know(t *testing.T, kind, id, team string) {
	t.Helper()
	w.knowAs(t, kind, id, "seed of "+kind, team)
}

func (w *world) knowAs(t *testing.T, kind, id, name, team string) {
	t.Helper()
	const sql = "INSERT INTO resources (kind, uuid, name, team_id) VALUES ($1, $2, $3, (SELECT id FROM teams WHERE name = $4)) ON CONFLICT DO NOTHING"
	if _, err := w.rows.Exec(t.Context(), sql, kind, id, name, team); err != nil {
		t.Fatalf("seeding %s %s: %v", kind, id, err)
	}
}

// forget takes away all that the service knows of resources. What was listed stays so.
func (w *world) forget(t *testing.T) {
	t.Helper()
	for _, table := range []string{"resources", "agent_versions", "agent_routes"} { // which is quicker than to truncate them
		if _, err := w.rows.Exec(t.Context(), "DELETE FROM "+table); err != nil {
			t.Fatal(err)
		}
	}
}

func (e *wireError) String() string {
	if e == nil {
		return "no error"
	}
	return fmt.Sprintf("%d %s: %s", e.status, e.Code, e.Message)
}
