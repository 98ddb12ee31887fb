package e2e_test

import (
	"context"
	"math/rand/v2"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// ask calls one replica after the other until there is a definite answer.
func (h *hand) ask(ctx context.Context, call func(context.Context, *client) error) error {
	for turn := h.rnd.IntN(replicaCount); ; turn++ {
		brief, cancel := context.WithTimeout(ctx, h.run.form.patience)
		err := call(brief, h.via(turn))
		cancel()
		if err == nil || ctx.Err() != nil || h.definite(ctx, err) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(20*time.Millisecond + rand.N(80*time.Millisecond)):
		}
	}
}

// via is the client of a replica, as it runs now.
func (h *hand) via(turn int) *client {
	s := h.run.replicas[turn%replicaCount].Load()
	if h.known[s] == nil {
		h.known[s] = s.client(h.run.t, h.team.token, h.grpc, h.protocol()...)
	}
	return h.known[s]
}

func (h *hand) protocol() []connect.ClientOption {
	if h.grpc {
		return []connect.ClientOption{connect.WithGRPC()}
	}
	return nil
}

// definite says that an error is the last word on a call. That an operation failed for
// want of the vendor is; that it goes on, or that nobody could be reached, is not.
func (h *hand) definite(ctx context.Context, err error) bool {
	if !connect.IsWireError(err) {
		return false
	}
	switch connect.CodeOf(err) {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeCanceled, connect.CodeResourceExhausted:
		return h.ended(ctx, operationOf(err))
	default:
		return true
	}
}

// ended says whether an operation is known to have ended.
func (h *hand) ended(ctx context.Context, operation string) bool {
	if operation == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, h.run.form.patience)
	defer cancel()
	got, err := h.via(h.rnd.IntN(replicaCount)).operations.GetOperation(ctx, &pb.GetOperationRequest{Id: operation})
	return err == nil && got.GetOperation().GetFinishTime() != nil
}

// operationOf is the operation that an error names; "" if it names none.
func operationOf(err error) string {
	return detail[*errdetails.ErrorInfo](err).GetMetadata()["operation"]
}
