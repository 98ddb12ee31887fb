package service

import (
	"context"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/operation"
)

// defaultWait is how long WaitOperation waits when the caller does not say.
const defaultWait = 30 * time.Second

// Operations serves the durable changes.
type Operations struct {
	Operations *operation.Accounts
	Lister     *operation.Lister
	Rights     Rights
}

var _ agentsvcv1connect.OperationServiceHandler = (*Operations)(nil)

// GetOperation answers an operation as it stands.
func (s *Operations) GetOperation(ctx context.Context, req *pb.GetOperationRequest) (*pb.GetOperationResponse, error) {
	op, err := s.Operations.Get(ctx, caller(ctx), uuid.MustParse(req.GetId())) // validated
	if err != nil {
		return nil, err
	}
	return &pb.GetOperationResponse{Operation: op}, nil
}

// ListOperations answers the operations of the caller's teams.
func (s *Operations) ListOperations(ctx context.Context, req *pb.ListOperationsRequest) (*pb.ListOperationsResponse, error) {
	return s.Lister.List(ctx, caller(ctx), req)
}

// WaitOperation answers when the operation has ended.
func (s *Operations) WaitOperation(ctx context.Context, req *pb.WaitOperationRequest) (*pb.WaitOperationResponse, error) {
	most := defaultWait
	if req.GetTimeout() != nil {
		most = req.GetTimeout().AsDuration()
	}
	op, err := s.Operations.Wait(ctx, caller(ctx), uuid.MustParse(req.GetId()), most) // validated
	if err != nil {
		return nil, err
	}
	return &pb.WaitOperationResponse{Operation: op}, nil
}

// GetQueueStatus answers how the queue stands.
func (s *Operations) GetQueueStatus(ctx context.Context, req *pb.GetQueueStatusRequest) (*pb.GetQueueStatusResponse, error) {
	status, err := s.Operations.QueueStatus(ctx, caller(ctx), req.GetAccount())
	if err != nil {
		return nil, err
	}
	return &pb.GetQueueStatusResponse{Status: status}, nil
}

// WatchQueue answers how the queue stands, again and again.
func (s *Operations) WatchQueue(ctx context.Context, req *pb.WatchQueueRequest, stream *connect.ServerStream[pb.WatchQueueResponse]) error {
	who := s.Rights.still(caller(ctx), identity.CredentialsFrom(ctx), req)
	return s.Operations.WatchQueue(ctx, who, req.GetAccount(), req.GetEvery().AsDuration(), func(status *pb.QueueStatus) error {
		return stream.Send(&pb.WatchQueueResponse{Status: status})
	})
}

// CancelOperation takes an operation back.
func (s *Operations) CancelOperation(ctx context.Context, req *pb.CancelOperationRequest) (*pb.CancelOperationResponse, error) {
	op, err := s.Operations.Cancel(ctx, caller(ctx), uuid.MustParse(req.GetId()), req.GetReason()) // validated
	if err != nil {
		return nil, err
	}
	return &pb.CancelOperationResponse{Operation: op}, nil
}

// ApproveOperation lets a change that waits for a second owner go on.
func (s *Operations) ApproveOperation(ctx context.Context, req *pb.ApproveOperationRequest) (*pb.ApproveOperationResponse, error) {
	op, err := s.Operations.Approve(ctx, caller(ctx), uuid.MustParse(req.GetId()), req.GetReason()) // validated
	return answer(&pb.ApproveOperationResponse{Operation: op}, err)
}

// DeclineOperation has a change that waits for a second owner fail.
func (s *Operations) DeclineOperation(ctx context.Context, req *pb.DeclineOperationRequest) (*pb.DeclineOperationResponse, error) {
	op, err := s.Operations.Decline(ctx, caller(ctx), uuid.MustParse(req.GetId()), req.GetReason()) // validated
	return answer(&pb.DeclineOperationResponse{Operation: op}, err)
}
