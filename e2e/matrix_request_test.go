package e2e_test

import (
	"errors"
	"slices"
	"testing"

	"buf.build/go/protovalidate"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access/accesstest"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// words are what requests must say where not any value would do: so that they are valid, and
// that a call which is allowed is answered, or changes nothing that another one needs. $names
// stand for what is in the estate that the call is about.
func words() map[string]string {
	return map[string]string{
		"AgentService.BatchUpdateAgents":           `{"update": {"description": "of many"}}`,
		"AgentService.DeleteAgentVersionLabel":     `{"label": "prod"}`,
		"AgentService.RollbackAgentVersion":        `{"version_hash": "$version"}`,
		"AgentService.SetAgentVersionLabel":        `{"label": "prod", "version": {"hash": "$version"}}`,
		"AuditService.DiffAgentVersions":           `{"before": {"hash": "$version"}}`,
		"AuditService.GetAgentAsOf":                `{"time": "$now"}`,
		"AuditService.ProveConsistency":            `{"old_size": "1"}`,
		"AuditService.PreflightRollback":           `{"version": {"hash": "$version"}}`,
		"EvaluationService.GetEvaluationRunResult": `{"prompt_id": "1"}`,
		"EvaluationService.RunEvaluationTestCase":  `{"agent_uuids": ["$agent"]}`,
		"KnowledgeBaseService.AddDataSource":       `{"web_crawler_data_source": {"base_url": "https://docs.invalid"}}`,
		"ModelRouterService.CreateModelRouter":     `{"fallback_models": ["openai-gpt"]}`,
		"ModelService.GetModelCatalogCard":         `{"id": "$catalog_entry"}`,
		"ResourceService.ClaimResource":            `{"kind": "agent", "uuid": "$agent", "team": "$team"}`,
		"ResourceService.TransferResource":         `{"to_team": "payments"}`,
		"TeamService.ArchiveTeam":                  `{"team": "$team"}`,
		"TeamService.CreateServiceToken":           `{"service": "$team-spare", "role": "ROLE_VIEWER"}`,
		"TeamService.CreateTeam":                   `{"name": "$team"}`,
		"TeamService.Freeze":                       `{"team": "` + iced + `", "reason": "a leaked key"}`,
		"TeamService.RemoveMember":                 `{"member": "$team-spare"}`,
		"TeamService.RevokeServiceToken":           `{"token": "$token"}`,
		"TeamService.SetMember":                    `{"member": "$team-spare", "role": "ROLE_VIEWER"}`,
		"TeamService.Unfreeze":                     `{"team": "$team"}`,
		"TeamService.UpdateTeam":                   `{"team": "$team", "description": "pays", "update_mask": "description"}`,
	}
}

// prepare makes the request of a cell.
func (x *matrix) prepare(t *testing.T, c cell) cellCall {
	t.Helper()
	e := x.estate["payments"]
	if len(c.things) > 0 {
		e = x.estate[c.team(c.things[0])]
	}
	made := cellCall{cell: c, req: x.filled(t, c.m, e)}
	for i, target := range c.m.Access.GetTargets() {
		if c.things[i] == accesstest.Nothing {
			continue
		}
		value := x.value(t, target, i, c.team(c.things[i]))
		if field := target.GetKindField(); field != "" {
			put(t, made.req, field, "agent")
		}
		put(t, made.req, target.GetField(), value)
		made.names = append(made.names, value)
	}
	if part := c.m.Access.GetPart(); part != nil {
		put(t, made.req, part.GetField(), e[part.GetKind()])
	}
	if err := whyInvalid(c.m, made.req); err != nil {
		t.Errorf("the request of %s for %s of %s is not valid: say more of it in words: %v: %v", shortName(c.m), c.who, c.things, err, made.req)
	}
	return made
}

// value is what a target names of a team's.
func (x *matrix) value(t *testing.T, target *pb.Target, i int, team string) string {
	t.Helper()
	kind := target.GetKind()
	switch {
	case target.GetKindField() != "" && team != ghost: // such calls may take it from the team, so each has its own
		id := uuid.NewString()
		x.know(t, "agent", id, team)
		return id
	case target.GetKindField() != "":
		kind = "agent"
	case i > 0 && kind == "agent":
		kind = "child" // an agent leads to another one
	case target.GetByName():
		kind = "name of " + kind
	}
	value := x.estate[team][kind]
	if value == "" && team == ghost {
		return uuid.NewString() // of a kind that nobody can have
	}
	if value == "" {
		t.Errorf("the estates have no %s", kind)
	}
	return value
}

func put(t *testing.T, req proto.Message, path, value string) {
	t.Helper()
	if err := accesstest.Put(req.ProtoReflect(), path, value); err != nil {
		t.Fatal(err)
	}
}

// filled has what a request must have, and wants nothing done where it can say so.
func (x *matrix) filled(t *testing.T, m *methods.Method, e estate) proto.Message {
	t.Helper()
	f := &filler{t: t, c: x.c}
	req := f.request(m, false)
	if text := words()[shortName(m)]; text != "" {
		said := e.fill(t, m, text)
		said.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			req.ProtoReflect().Set(fd, v)
			return true
		})
	}
	if fd := m.Input.Descriptor().Fields().ByName("mutation"); fd != nil {
		options := &pb.MutationOptions{ValidateOnly: true, Reason: "the matrix"}
		req.ProtoReflect().Set(fd, protoreflect.ValueOfMessage(options.ProtoReflect()))
	}
	// What is ours says by its limits what it must have.
	for range 3 {
		lacks, ok := errors.AsType[*protovalidate.ValidationError](whyInvalid(m, req))
		if !ok {
			break
		}
		f.message(req.ProtoReflect(), func(fd protoreflect.FieldDescriptor) (string, bool) {
			return "", slices.ContainsFunc(lacks.Violations, func(v *protovalidate.Violation) bool {
				path := v.Proto.GetField().GetElements()
				return len(path) > 0 && path[0].GetFieldName() == string(fd.Name())
			})
		}, nil)
	}
	return req
}

// whyInvalid says why a request is not valid. Those within a batch lack what they are about.
func whyInvalid(m *methods.Method, req proto.Message) error {
	of := methods.API().BatchOf(m)
	return protovalidate.Validate(req, protovalidate.WithFilter(protovalidate.FilterFunc(func(_ protoreflect.Message, d protoreflect.Descriptor) bool {
		return of == nil || d.Parent() != protoreflect.Descriptor(of.Input.Descriptor()) || string(d.Name()) != of.Access.GetTargets()[0].GetField()
	})))
}
