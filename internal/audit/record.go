// Package audit keeps and answers the history: who did what to what, for which
// team, why, from where, and what came of it.
package audit

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// Event is one line of the history before it is written. Its messages may hold
// secrets; what is written does not.
type Event struct {
	// Actor is who acted; see [By] for callers.
	Actor       string
	PrincipalID *uuid.UUID
	// ActingService acted on behalf of the actor; nil where nobody came between.
	ActingService *string
	Team          *uuid.UUID
	Action        pb.Action
	Method        string
	Resource      Ref
	Parent        Ref
	Reason        string
	Outcome       pb.AuditEvent_Outcome
	Origin        pb.AuditEvent_Origin
	Operation     *uuid.UUID
	// VendorRequestID is the vendor's id of the request that made the change.
	VendorRequestID string
	RequestID       string
	ClientAddress   string
	UserAgent       string
	ErrorReason     pb.ErrorReason
	ErrorMessage    string
	// Request is what was asked for; nil where it is in another event of the operation.
	Request proto.Message
	// Before and After are JSON objects of what changed, without secrets: see [Changed].
	Before, After json.RawMessage
}

// Ref names a resource. UUID is nil for one that does not exist yet.
type Ref struct {
	Kind string
	UUID *uuid.UUID
	Name string
}

// By fills in who acted and from where.
func (e Event) By(c identity.Caller) Event {
	e.Actor, e.RequestID, e.ClientAddress, e.UserAgent = c.Name, c.RequestID, c.Address, c.UserAgent
	e.PrincipalID, e.ActingService = nil, nil
	if c.PrincipalID != uuid.Nil {
		e.PrincipalID = &c.PrincipalID
	}
	if c.ActingService != "" {
		e.ActingService = &c.ActingService
	}
	return e
}

// SystemActor is the actor of what the service does by itself.
const SystemActor = "agentsvc"

// Record writes events in q's transaction, so that history and state cannot disagree. The
// database's clock dates them.
func Record(ctx context.Context, q *db.Queries, events ...Event) error {
	rows := make([]dbsql.InsertAuditEventParams, 0, len(events))
	for _, e := range events {
		row, err := e.row()
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	var err error
	if len(rows) == 1 {
		err = q.InsertAuditEvent(ctx, rows[0])
	} else if len(rows) > 1 {
		err = q.InsertAuditEvents(ctx, columns(rows))
	}
	if err != nil {
		return fmt.Errorf("writing the history: %w", err)
	}
	return nil
}

// row is the event as it is written.
func (e Event) row() (dbsql.InsertAuditEventParams, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return dbsql.InsertAuditEventParams{}, fmt.Errorf("making an audit id: %w", err)
	}
	request, err := JSON(e.Request)
	if err != nil {
		return dbsql.InsertAuditEventParams{}, fmt.Errorf("writing the request into the history: %w", err)
	}
	reason := ""
	if e.ErrorReason != pb.ErrorReason_ERROR_REASON_UNSPECIFIED {
		reason = trim(e.ErrorReason.String(), "ERROR_REASON_")
	}
	return dbsql.InsertAuditEventParams{
		ID: id, Actor: e.Actor, PrincipalID: e.PrincipalID, TeamID: e.Team,
		Action: trim(e.Action.String(), "ACTION_"), Method: e.Method,
		ResourceKind: e.Resource.Kind, ResourceUUID: e.Resource.UUID, ResourceName: e.Resource.Name,
		ParentKind: e.Parent.Kind, ParentUUID: e.Parent.UUID, ParentName: e.Parent.Name,
		Reason: e.Reason, Outcome: trim(e.Outcome.String(), "OUTCOME_"), Origin: trim(e.Origin.String(), "ORIGIN_"),
		OperationID: e.Operation, VendorRequestID: e.VendorRequestID, RequestID: e.RequestID,
		ClientAddress: e.ClientAddress, UserAgent: e.UserAgent, ErrorReason: reason, ErrorMessage: e.ErrorMessage,
		Request: request, Before: e.Before, After: e.After, ActingService: e.ActingService,
	}, nil
}

func trim(name, prefix string) string { return name[len(prefix):] }

// JSON is m without secrets and without the options that are columns of their own;
// nil for nil. What JSON cannot write is {"unreadable": true}: requests are refused for
// it before they get here, and an event without one is better than none.
func JSON(m proto.Message) (json.RawMessage, error) {
	if m == nil || !m.ProtoReflect().IsValid() {
		return nil, nil
	}
	clean := proto.Clone(m)
	methods.Redact(clean)
	if fd := clean.ProtoReflect().Descriptor().Fields().ByName("mutation"); fd != nil {
		clean.ProtoReflect().Clear(fd)
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(clean)
	if err != nil {
		return json.RawMessage(`{"unreadable": true}`), nil //nolint:nilerr // what happened must be recorded in any case
	}
	return text, nil
}
