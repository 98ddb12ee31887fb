package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// Reader answers questions about the history.
type Reader struct {
	store  *db.Store
	tokens *listing.Tokens
	schema *listing.Schema
	reads  *reads
	slots  *slots
	// stall is exportStall, but in tests.
	stall time.Duration
	now   func() time.Time
}

// NewReader reads from the store.
func NewReader(store *db.Store, tokens *listing.Tokens) *Reader {
	now := time.Now //nolint:forbidigo // how long ago, by one clock, and where to begin to look
	return &Reader{
		store: store, tokens: tokens, schema: db.AuditSchema(), reads: newReads(now), slots: newSlots(maxExports), stall: exportStall, now: now,
	}
}

// LimitExports has fewer exports made at once than the usual six, two at the least. It is to be called before
// the first.
func (r *Reader) LimitExports(exports int) { r.slots = newSlots(max(exports, 2)) }

// List answers a page of the events that the caller may see, the newest first:
// those of their teams, or all for those who see everything.
func (r *Reader) List(ctx context.Context, caller identity.Caller, req *pb.ListAuditEventsRequest) (*pb.ListAuditEventsResponse, error) {
	page, err := r.tokens.Open(r.schema, req)
	if err != nil {
		return nil, err
	}
	rows, err := r.store.ListAuditEvents(ctx, visible(caller), page, r.now())
	if err != nil {
		return nil, err
	}
	rows, next := listing.Cut(r.tokens, page, rows)
	resp := &pb.ListAuditEventsResponse{Events: make([]*pb.AuditEvent, 0, len(rows)), NextPageToken: next}
	for _, row := range rows {
		event, err := toProto(row)
		if err != nil {
			return nil, fmt.Errorf("reading audit event %s: %w", row.ID, err)
		}
		resp.Events = append(resp.Events, event)
	}
	if req.GetCount() {
		count, more, err := r.store.CountAuditEvents(ctx, visible(caller), page.Filter)
		if err != nil {
			return nil, err
		}
		resp.TotalSize, resp.TotalIsMore = int32(count), more
	}
	if err := r.recordRead(ctx, caller, req); err != nil {
		return nil, err
	}
	return resp, nil
}

// visible is what a caller may see of the history: the events of their teams, or all. What belongs to no team, such as
// who read the history, only those see who see all.
func visible(caller identity.Caller) db.Visible {
	return db.Visible{All: caller.SeesAll(), Teams: caller.TeamIDs()}
}

func toProto(row db.AuditRow) (*pb.AuditEvent, error) {
	request, err := stored(row.Request)
	if err != nil {
		return nil, err
	}
	before, err := stored(row.Before)
	if err != nil {
		return nil, err
	}
	after, err := stored(row.After)
	if err != nil {
		return nil, err
	}
	changed, err := changes(before.AsMap(), after.AsMap())
	if err != nil {
		return nil, err
	}
	return &pb.AuditEvent{
		Id:              row.ID.String(),
		Time:            timestamppb.New(row.RecordedAt),
		Actor:           row.Actor,
		Team:            row.Team,
		Action:          pb.Action(pb.Action_value["ACTION_"+row.Action]),
		Method:          row.Method,
		Resource:        ref(row.ResourceKind, row.ResourceUUID, row.ResourceName),
		Parent:          ref(row.ParentKind, row.ParentUUID, row.ParentName),
		Reason:          row.Reason,
		Outcome:         pb.AuditEvent_Outcome(pb.AuditEvent_Outcome_value["OUTCOME_"+row.Outcome]),
		Origin:          pb.AuditEvent_Origin(pb.AuditEvent_Origin_value["ORIGIN_"+row.Origin]),
		OperationId:     text(row.OperationID),
		VendorRequestId: row.VendorRequestID,
		RequestId:       row.RequestID,
		ClientAddress:   row.ClientAddress,
		UserAgent:       row.UserAgent,
		ErrorReason:     pb.ErrorReason(pb.ErrorReason_value["ERROR_REASON_"+row.ErrorReason]),
		ErrorMessage:    row.ErrorMessage,
		Request:         request,
		Before:          before,
		After:           after,
		Changes:         changed,
		ActingService:   db.OrEmpty(row.ActingService),
	}, nil
}

// stored is a JSON object of the history; nil if there is none.
func stored(raw []byte) (*structpb.Struct, error) {
	if len(raw) == 0 {
		return nil, nil //nolint:nilnil // absent
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, err
	}
	if object == nil {
		return nil, nil //nolint:nilnil // JSON's null is absent too
	}
	return structpb.NewStruct(object)
}

// ref is nil if the event is about no resource.
func ref(kind string, id *uuid.UUID, name string) *pb.ResourceRef {
	if kind == "" && id == nil {
		return nil
	}
	return &pb.ResourceRef{Kind: kind, Uuid: text(id), Name: name}
}

func text(id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return id.String()
}
