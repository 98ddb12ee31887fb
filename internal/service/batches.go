package service

import (
	"context"
	"fmt"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/operation"
)

// BatchUpdateAgents makes one change to many agents. If they were given by a filter, they
// are named by now: see [Resolver].
func (s *Agents) BatchUpdateAgents(ctx context.Context, req *pb.BatchUpdateAgentsRequest) (*pb.BatchUpdateAgentsResponse, error) {
	resp := &pb.BatchUpdateAgentsResponse{}
	return answer(resp, s.Operations.BatchUpdateAgents(ctx, caller(ctx), req, resp))
}

// ResumeOperation tries again what a batch did not change. Whether the caller may change
// that is asked as if they had named it.
func (s *Operations) ResumeOperation(ctx context.Context, req *pb.ResumeOperationRequest) (*pb.ResumeOperationResponse, error) {
	rest, err := s.Operations.Rest(ctx, uuid.MustParse(req.GetId()), req.GetReason()) // validated
	if err != nil {
		return nil, err
	}
	by := caller(ctx)
	decision, err := s.Rights.Guard.Check(ctx, by, methods.API().ByRequest(rest), rest)
	if err != nil {
		return nil, err
	}
	by.ActingTeam, by.Target, by.Account = decision.Team, decision.Target, decision.Account
	resp := &pb.BatchUpdateAgentsResponse{}
	if err := s.Operations.BatchUpdateAgents(ctx, by, rest, resp); err != nil {
		return nil, err
	}
	return &pb.ResumeOperationResponse{Operation: resp.GetOperation()}, nil
}

// WatchOperation follows an operation to its end.
func (s *Operations) WatchOperation(ctx context.Context, req *pb.WatchOperationRequest, stream *connect.ServerStream[pb.WatchOperationResponse]) error {
	return s.Operations.Watch(ctx, caller(ctx), uuid.MustParse(req.GetId()), func(op *pb.Operation) error { // validated
		return stream.Send(&pb.WatchOperationResponse{Operation: op})
	})
}

// Resolver puts what a filter in a request finds in its place, as far as the caller may
// see it. It comes before the access check, which reads uuids.
type Resolver func(ctx context.Context, caller identity.Caller, req proto.Message) error

// Resolve is the resolver of all requests that have such filters.
func Resolve(copied *mirror.Accounts, engines *operation.Accounts) Resolver {
	return func(ctx context.Context, caller identity.Caller, req proto.Message) error {
		batch, ok := req.(*pb.BatchUpdateAgentsRequest)
		if !ok {
			return nil
		}
		return engines.Resolve(ctx, caller, batch, func(ctx context.Context, filter string) ([]string, error) {
			resp := &pb.ListAgentsResponse{}
			// In the order of their uuids, which does not change while names do.
			list := &pb.ListAgentsRequest{Filter: filter, PageSize: listing.MaxSize, OrderBy: "uuid"}
			if err := copied.List(ctx, caller, list, resp); err != nil {
				return nil, err
			}
			found := make([]string, 0, len(resp.GetAgents()))
			for _, agent := range resp.GetAgents() {
				found = append(found, agent.GetUuid())
			}
			if resp.GetNextPageToken() != "" {
				found = append(found, "") // more than a batch may have
			}
			return found, nil
		})
	}
}

// checkResolved runs the resolver.
func checkResolved(resolve Resolver) func(context.Context, *methods.Method, proto.Message) (context.Context, error) {
	return func(ctx context.Context, m *methods.Method, req proto.Message) (context.Context, error) {
		if !m.Batch() {
			return ctx, nil
		}
		caller, ok := identity.From(ctx)
		if !ok || resolve == nil {
			return ctx, fmt.Errorf("%s was reached without an identity, or by a server that resolves no filters", m.Name)
		}
		return ctx, resolve(ctx, caller, req)
	}
}
