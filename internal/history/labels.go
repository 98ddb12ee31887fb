package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// maxLabels is how many labels an agent may have.
const maxLabels = 100

// ListAgentVersionLabels answers the labels on an agent's versions, by name.
func (r *Reader) ListAgentVersionLabels(
	ctx context.Context, _ identity.Caller, req *pb.ListAgentVersionLabelsRequest,
) (*pb.ListAgentVersionLabelsResponse, error) {
	id, err := parse("uuid", req.GetUuid())
	if err != nil {
		return nil, err
	}
	rows, err := r.store.AgentLabels(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading the labels of agent %s: %w", id, db.Classify(err))
	}
	resp := &pb.ListAgentVersionLabelsResponse{}
	for _, row := range rows {
		resp.Labels = append(resp.Labels, labelOf(row))
	}
	return resp, nil
}

func labelOf(row dbsql.AgentVersionLabel) *pb.AgentVersionLabel {
	return &pb.AgentVersionLabel{
		Label: row.Label, VersionHash: row.VersionHash, Protected: row.Protected, Time: timestamppb.New(row.MovedAt),
		By: &pb.Deed{Actor: row.Actor, Reason: row.Reason, Origin: pb.Deed_ORIGIN_API},
	}
}

// move is a change of a label. Its row and the agent's are locked.
type move struct {
	caller identity.Caller
	agent  *dbsql.Resource
	label  string
	reason string
	// before is nil if there is no such label.
	before *dbsql.AgentVersionLabel
	// after is what it is to be; nil: it is taken off.
	after *dbsql.AgentVersionLabel
}

// SetAgentVersionLabel puts a label on a version, or moves it there, and writes that into the
// history in the same commit. To put it where it is changes and writes nothing.
func (r *Reader) SetAgentVersionLabel(
	ctx context.Context, caller identity.Caller, req *pb.SetAgentVersionLabelRequest,
) (*pb.SetAgentVersionLabelResponse, error) {
	id, err := parse("uuid", req.GetUuid())
	if err != nil {
		return nil, err
	}
	hash := ""
	if req.GetVersion() != nil {
		if hash, err = r.known(ctx, caller, id, req.GetVersion()); err != nil {
			return nil, err
		}
	}
	resp := &pb.SetAgentVersionLabelResponse{}
	err = r.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		m, err := lockLabel(ctx, q, caller, id, req.GetLabel(), req.GetReason())
		if err != nil {
			return err
		}
		if m.before != nil {
			resp.PreviousVersionHash = m.before.VersionHash
		}
		if want := req.GetExpectedVersionHash(); want != "" && want != resp.GetPreviousVersionHash() {
			return moved(req.GetLabel(), want, resp.GetPreviousVersionHash())
		}
		if err := m.aim(ctx, q, hash, req.Protected); err != nil {
			return err
		}
		if m.before != nil && m.before.VersionHash == m.after.VersionHash && m.before.Protected == m.after.Protected {
			resp.Label = labelOf(*m.before)
			return nil
		}
		row, err := q.PutAgentLabel(ctx, dbsql.PutAgentLabelParams{
			AgentUUID: id, Label: m.label, VersionHash: m.after.VersionHash, Protected: m.after.Protected, Actor: caller.Name, Reason: m.reason,
		})
		if err != nil {
			return fmt.Errorf("putting label %s: %w", m.label, err)
		}
		resp.Label = labelOf(row)
		return m.record(ctx, q, req)
	})
	return resp, r.refused(ctx, caller, id, req, err)
}

// known is the hash of a version that we know of; where we do not, the vendor is asked.
func (r *Reader) known(ctx context.Context, caller identity.Caller, id uuid.UUID, ref *pb.VersionRef) (string, error) {
	for asked := false; ; asked = true {
		hash, err := r.resolve(ctx, id, "version", ref)
		if err == nil {
			_, err = r.recorded(ctx, id, hash)
		}
		if err == nil || asked || fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_NOT_FOUND || ref.GetLabel() != "" {
			return hash, err
		}
		if _, err := r.copied.RefreshVersions(ctx, caller, id, now()); err != nil {
			return "", err
		}
	}
}

// DeleteAgentVersionLabel takes a label off.
func (r *Reader) DeleteAgentVersionLabel(
	ctx context.Context, caller identity.Caller, req *pb.DeleteAgentVersionLabelRequest,
) (*pb.DeleteAgentVersionLabelResponse, error) {
	id, err := parse("uuid", req.GetUuid())
	if err != nil {
		return nil, err
	}
	resp := &pb.DeleteAgentVersionLabelResponse{}
	err = r.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		m, err := lockLabel(ctx, q, caller, id, req.GetLabel(), req.GetReason())
		if err != nil {
			return err
		}
		if m.before == nil {
			return noLabel(id, m.label)
		}
		if err := m.allowed(m.before.Protected); err != nil {
			return err
		}
		resp.Label = labelOf(*m.before)
		if err := q.DeleteAgentLabel(ctx, dbsql.DeleteAgentLabelParams{AgentUUID: id, Label: m.label}); err != nil {
			return fmt.Errorf("taking label %s off: %w", m.label, err)
		}
		return m.record(ctx, q, req)
	})
	return resp, r.refused(ctx, caller, id, req, err)
}

// lockLabel holds the agent and the label until the transaction ends, so that of two moves
// at once the second sees what the first did.
func lockLabel(ctx context.Context, q *db.Queries, caller identity.Caller, id uuid.UUID, label, reason string) (move, error) {
	m := move{caller: caller, label: label, reason: reason}
	agent, err := q.LockResource(ctx, dbsql.LockResourceParams{Kind: agentKind, UUID: id})
	if db.NoRows(err) || err == nil && agent.DeletedAt != nil {
		return m, fault.NotFound(agentKind, id.String())
	}
	if err != nil {
		return m, fmt.Errorf("locking agent %s: %w", id, err)
	}
	m.agent = &agent
	row, err := q.LockAgentLabel(ctx, dbsql.LockAgentLabelParams{AgentUUID: id, Label: label})
	if err == nil {
		m.before = &row
	} else if !db.NoRows(err) {
		return m, fmt.Errorf("locking label %s of agent %s: %w", label, id, err)
	}
	return m, nil
}

// aim says what the label is to be, if the caller may make it so.
func (m *move) aim(ctx context.Context, q *db.Queries, hash string, protected *bool) error {
	next := dbsql.AgentVersionLabel{AgentUUID: m.agent.UUID, Label: m.label}
	if m.before != nil {
		next = *m.before
	}
	if hash != "" {
		next.VersionHash = hash
	}
	if next.VersionHash == "" {
		return fault.Invalid("version", "is required: there is no label %q yet", m.label)
	}
	if m.before == nil {
		n, err := q.CountAgentLabels(ctx, m.agent.UUID)
		if err != nil {
			return fmt.Errorf("counting the labels of agent %s: %w", m.agent.UUID, err)
		}
		if n >= maxLabels {
			return fault.Precondition("an agent may have %d labels: take one off first", maxLabels)
		}
	}
	was := next.Protected
	if protected != nil {
		next.Protected = *protected
	}
	m.after = &next
	changes := m.before == nil || m.before.VersionHash != next.VersionHash
	return m.allowed(was && changes || was != next.Protected)
}

// ownersError says that a label is an owner's to move.
type ownersError struct{ fault *fault.Error }

func (e *ownersError) Error() string { return e.fault.Error() }

func (e *ownersError) Unwrap() error { return e.fault }

// allowed refuses what only an owner may do.
func (m *move) allowed(owners bool) error {
	role := pb.Role_ROLE_UNSPECIFIED
	if m.agent.TeamID != nil {
		role = m.caller.Role(*m.agent.TeamID)
	} else if m.caller.Admin() {
		role = pb.Role_ROLE_OWNER
	}
	if !owners || role >= pb.Role_ROLE_OWNER {
		return nil
	}
	return &ownersError{fault.New(pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED,
		"label %q is protected, or its protection would change: that takes the role OWNER in the agent's team", m.label)}
}

func moved(label, want, is string) error {
	if is == "" {
		is = "no version"
	}
	return fault.New(pb.ErrorReason_ERROR_REASON_VERSION_MISMATCH, "label %q is on %s by now, not on %s: decide anew", label, is, want)
}

// record writes the move into the label's own history and the audit history.
func (m *move) record(ctx context.Context, q *db.Queries, req proto.Message) error {
	note := dbsql.NoteLabelMoveParams{AgentUUID: m.agent.UUID, Label: m.label, Actor: m.caller.Name, Reason: m.reason}
	event := m.event(req)
	event.Outcome = pb.AuditEvent_OUTCOME_SUCCEEDED
	var err error
	if m.before != nil {
		note.BeforeHash, note.BeforeProtected = &m.before.VersionHash, m.before.Protected
		if event.Before, err = labelJSON(*m.before); err != nil {
			return err
		}
	}
	if m.after != nil {
		note.AfterHash, note.AfterProtected = &m.after.VersionHash, m.after.Protected
		if event.After, err = labelJSON(*m.after); err != nil {
			return err
		}
	}
	if err := q.NoteLabelMove(ctx, note); err != nil {
		return fmt.Errorf("noting where label %s was: %w", m.label, err)
	}
	return audit.Record(ctx, q, event)
}

func labelJSON(row dbsql.AgentVersionLabel) (json.RawMessage, error) {
	text, err := json.Marshal(map[string]any{"label": row.Label, "version_hash": row.VersionHash, "protected": row.Protected})
	if err != nil {
		return nil, fmt.Errorf("writing a label: %w", err)
	}
	return text, nil
}

func (m *move) event(req proto.Message) audit.Event {
	return audit.Event{
		Team: m.agent.TeamID, Action: pb.Action_ACTION_UPDATE, Method: string(methods.API().ByRequest(req).Name),
		Resource: audit.Ref{Kind: agentKind, UUID: &m.agent.UUID, Name: m.agent.Name}, Reason: m.reason, Origin: pb.AuditEvent_ORIGIN_API,
	}.By(m.caller)
}

// refused records that a caller was not allowed to move a label, before they are told. What
// cannot be recorded fails.
func (r *Reader) refused(ctx context.Context, caller identity.Caller, id uuid.UUID, req proto.Message, failure error) error {
	var owners *ownersError
	if !errors.As(failure, &owners) {
		return failure
	}
	err := r.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		agent, err := q.Resource(ctx, dbsql.ResourceParams{Kind: agentKind, UUID: id})
		if err != nil {
			return fmt.Errorf("reading agent %s: %w", id, err)
		}
		m := move{caller: caller, agent: &agent, reason: methods.String(req, "reason")}
		event := m.event(req)
		event.Outcome, event.ErrorReason, event.ErrorMessage, event.Request = pb.AuditEvent_OUTCOME_DENIED, owners.fault.Reason, owners.fault.Public, req
		return audit.Record(ctx, q, event)
	})
	if err != nil {
		return fmt.Errorf("recording a denial: %w", err)
	}
	return owners.fault
}
