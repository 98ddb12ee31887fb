package operation

import (
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// toProto is the operation as callers see it; team is the name of its team. What
// the row holds sealed stays there.
func toProto(row dbsql.Operation, team string) (*pb.Operation, error) {
	op := &pb.Operation{
		Id:              row.ID.String(),
		State:           pb.Operation_State(pb.Operation_State_value["STATE_"+row.State]),
		Method:          row.Method,
		Team:            team,
		Resource:        &pb.ResourceRef{Kind: row.ResourceKind, Name: row.ResourceName},
		RequestedBy:     row.Actor,
		Reason:          row.Reason,
		Lane:            pb.MutationOptions_Lane(row.Lane),
		CreateTime:      timestamppb.New(row.CreatedAt),
		StartTime:       timeOf(row.StartedAt),
		SentTime:        timeOf(row.SentAt),
		FinishTime:      timeOf(row.FinishedAt),
		Attempts:        row.Attempts,
		VendorRequestId: row.VendorRequestID,
		ExpectedVersion: row.ExpectedVersion,
		Account:         row.Account,
		Approval:        approvalOf(row),
	}
	if row.ResourceUUID != nil {
		op.Resource.Uuid = row.ResourceUUID.String()
	}
	if row.ParentUUID != nil {
		op.Parent = &pb.ResourceRef{Kind: row.ParentKind, Uuid: row.ParentUUID.String()}
	}
	if row.ParentOperationID != nil {
		op.ParentOperation = row.ParentOperationID.String()
	}
	if row.BatchTotal != nil { // the counts are for who presents it
		op.Batch = &pb.BatchProgress{Total: *row.BatchTotal, Unchanged: row.BatchUnchanged}
	}
	if row.IdempotencyKey != nil {
		op.IdempotencyKey = *row.IdempotencyKey
	}
	if len(row.Error) > 0 {
		op.Error = &status.Status{}
		if err := proto.Unmarshal(row.Error, op.GetError()); err != nil {
			return nil, fmt.Errorf("reading the error of operation %s: %w", row.ID, err)
		}
	}
	// A method that is gone leaves no message to read its bytes with: the rest still tells.
	if m := methods.API().ByName(row.Method); m != nil {
		op.Request = anyOf(m.Input, row.Request)
		if row.Response != nil {
			op.Response = anyOf(m.Output, row.Response)
		}
	}
	return op, nil
}

// anyOf wraps bytes that are already of the type.
func anyOf(mt protoreflect.MessageType, bytes []byte) *anypb.Any {
	return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(mt.Descriptor().FullName()), Value: bytes}
}

func timeOf(t *time.Time) *timestamppb.Timestamp {
	if t == nil {
		return nil
	}
	return timestamppb.New(*t)
}
