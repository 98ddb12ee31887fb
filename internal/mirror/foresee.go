package mirror

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// Outlook is what an update would do to an agent, by our copy.
type Outlook struct {
	Name string
	// Team owns the agent; nil if nobody does.
	Team *uuid.UUID
	// Account is the vendor account that it is in.
	Account string
	// Changes are those that our copy shows, without secrets.
	Changes []*pb.FieldChange
	// Same says that the agent is so already. What our copy does not show, or may not show
	// as it is, is never the same.
	Same bool
}

// Foresee says what an update, whose uuid does not count, would do to each of the agents
// that we know.
func (m *Mirror) Foresee(ctx context.Context, update *pb.UpdateAgentRequest, agents []uuid.UUID) (map[uuid.UUID]Outlook, error) {
	k := m.kind(agentKind)
	rows, err := m.rows(ctx, k, agents)
	if err != nil {
		return nil, err
	}
	outlooks := make(map[uuid.UUID]Outlook, len(rows))
	for _, row := range rows {
		body, err := decode(k.full, row.Body)
		if err != nil {
			return nil, err
		}
		agent, _ := body.(*pb.Agent)
		before, after, whole := wouldBe(agent, update)
		o := Outlook{Name: row.Name, Team: row.TeamID, Account: row.Account}
		if o.Changes, err = audit.Compare(before, after); err != nil {
			return nil, fmt.Errorf("foreseeing an update of agent %s: %w", row.UUID, err)
		}
		current := row.DeletedAt == nil && row.DirtySince == nil && row.BodySyncedAt != nil && agent != nil
		o.Same = whole && current && len(o.Changes) == 0
		outlooks[row.UUID] = o
	}
	return outlooks, nil
}

// shownAs is where an agent shows what a field of its update sets, if not in the field of
// the same name.
func shownAs(field string) string {
	switch field {
	case "agent_log_insights_enabled":
		return "logging_config.insights_enabled"
	case "allowed_domains":
		return "chatbot.allowed_domains"
	case "anthropic_key_uuid":
		return "anthropic_api_key.uuid"
	case "model_provider_key_uuid":
		return "model_provider_key.api_key_uuid"
	case "model_router_uuid":
		return "model_router.uuid"
	case "model_uuid":
		return "model.uuid"
	case "open_ai_key_uuid":
		return "openai_api_key.uuid"
	}
	return field
}

// wouldBe are the settings that an update is about, as they are in an agent (nil: not
// known) and as they would be. Not whole: some of them an agent does not show.
func wouldBe(agent *pb.Agent, update *pb.UpdateAgentRequest) (before, after *pb.Agent, whole bool) {
	before, after, whole = &pb.Agent{}, &pb.Agent{}, true
	given := update.ProtoReflect()
	fields := given.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		name := string(fd.Name())
		switch {
		case name == "uuid" || methods.Local(fd):
		case name == "clear_mcp_servers":
			if update.GetClearMcpServers() {
				copyAt(before.ProtoReflect(), "mcp_servers", agent.ProtoReflect())
			}
		case given.Has(fd) || slices.Contains(update.GetUpdateMask().GetPaths(), name):
			target := methods.Resolve(after.ProtoReflect().Descriptor(), shownAs(name))
			if target == nil || target.Kind() != fd.Kind() || target.IsList() != fd.IsList() {
				whole = false
				continue
			}
			copyAt(before.ProtoReflect(), shownAs(name), agent.ProtoReflect())
			if given.Has(fd) {
				setPath(after.ProtoReflect(), shownAs(name), given.Get(fd))
			} else if before := methods.Values(before.ProtoReflect(), shownAs(name)); len(before) > 0 && !fd.IsList() {
				setPath(after.ProtoReflect(), shownAs(name), target.Default()) // shown as zero, not as absent
			}
			if target.Message() != nil && given.Has(fd) {
				whole = false // may hold secrets, which nothing shows
			}
		}
	}
	return before, after, whole
}

// copyAt copies what is at a path of a message of the same type.
func copyAt(to protoreflect.Message, path string, from protoreflect.Message) {
	fd := methods.Resolve(from.Descriptor(), path)
	values := methods.Values(from, path)
	if fd == nil || len(values) == 0 {
		return
	}
	if !fd.IsList() {
		setPath(to, path, values[0])
		return
	}
	holder := holderOf(to, path)
	list := holder.Mutable(fd).List()
	for _, v := range values {
		list.Append(v)
	}
}

// setPath sets the field at a path, and makes the messages on the way to it.
func setPath(to protoreflect.Message, path string, v protoreflect.Value) {
	holderOf(to, path).Set(methods.Resolve(to.Descriptor(), path), v)
}

// holderOf is the message that has the last field of a path.
func holderOf(m protoreflect.Message, path string) protoreflect.Message {
	for {
		name, rest, nested := strings.Cut(path, ".")
		if !nested {
			return m
		}
		m, path = m.Mutable(m.Descriptor().Fields().ByName(protoreflect.Name(name))).Message(), rest
	}
}
