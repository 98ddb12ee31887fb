package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access/accesstest"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// speaker makes calls by their descriptors, in each of the protocols.
type speaker struct {
	url       string
	protocols []protocol
}

// protocol is one way to make a call.
type protocol struct {
	name    string
	http    *http.Client
	options []connect.ClientOption
}

// speaker calls with a token, or with none if that is "", over connections of its own.
func (s *service) speaker(t *testing.T, token string) *speaker {
	t.Helper()
	over := func(http2 bool) *http.Client {
		transport := newTransport(t, http2)
		transport.MaxIdleConnsPerHost = matrixAtOnce
		return &http.Client{Transport: bearer{token: token, next: transport}}
	}
	return &speaker{url: s.url, protocols: []protocol{
		{"Connect", over(false), nil},
		{"gRPC", over(true), []connect.ClientOption{connect.WithGRPC()}},
		{"gRPC-Web", over(false), []connect.ClientOption{connect.WithGRPCWeb()}},
		{"GET where that reads", over(true), []connect.ClientOption{connect.WithHTTPGet()}},
	}}
}

// open makes the connections of all who call.
func (x *matrix) open(t *testing.T) {
	t.Helper()
	for _, who := range accesstest.Callers() {
		if (x.tokens[who] == "") != (who == accesstest.Nobody) {
			t.Fatalf("%s has the token %q", who, x.tokens[who])
		}
		x.speaks[who] = x.service.speaker(t, x.tokens[who])
	}
}

// spoken is how a call ended: with a message, the first of a stream, or with an error.
type spoken struct {
	message proto.Message
	err     error
}

// call makes a call in one of the protocols, and leaves a stream after its first message.
func (s *speaker) call(ctx context.Context, m *methods.Method, req proto.Message, in protocol) spoken {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(m.Name)
	if err != nil {
		return spoken{err: err}
	}
	return send(ctx, s.url+m.Procedure, d.(protoreflect.MethodDescriptor), req, in)
}

func send(ctx context.Context, url string, d protoreflect.MethodDescriptor, req proto.Message, in protocol) spoken {
	answer := connect.WithResponseInitializer(func(_ connect.Spec, message any) error {
		*message.(*dynamicpb.Message) = *dynamicpb.NewMessage(d.Output())
		return nil
	})
	level := connect.WithIdempotency(connect.IdempotencyLevel(d.Options().(*descriptorpb.MethodOptions).GetIdempotencyLevel()))
	options := slices.Concat(in.options, []connect.ClientOption{connect.WithSchema(d), level, answer})
	client := connect.NewClient[dynamicpb.Message, dynamicpb.Message](in.http, url, options...)
	sent := dynamicpb.NewMessage(d.Input())
	proto.Merge(sent, req)
	if !d.IsStreamingServer() {
		resp, err := client.CallUnary(ctx, connect.NewRequest(sent))
		if err != nil {
			return spoken{err: err}
		}
		return spoken{message: resp.Msg}
	}
	stream, err := client.CallServerStream(ctx, connect.NewRequest(sent))
	if err != nil {
		return spoken{err: err}
	}
	if stream.Receive() {
		return spoken{message: stream.Msg()} // what comes after it ends with the context
	}
	if stream.Err() == nil {
		return spoken{err: errors.New("the stream ended without a message")}
	}
	return spoken{err: stream.Err()}
}

// reason is that of the error; UNSPECIFIED if there is none.
func (o spoken) reason() pb.ErrorReason {
	if o.err == nil {
		return pb.ErrorReason_ERROR_REASON_UNSPECIFIED
	}
	reason, known := pb.ErrorReason_value[detail[*errdetails.ErrorInfo](o.err).GetReason()]
	if !known {
		return pb.ErrorReason_ERROR_REASON_INTERNAL
	}
	return pb.ErrorReason(reason)
}

// code is that of the error; 0 if there is none.
func (o spoken) code() connect.Code {
	if o.err == nil {
		return 0
	}
	return connect.CodeOf(o.err)
}

// codeOf is the code that goes with a reason of the access check.
func codeOf(reason pb.ErrorReason) connect.Code {
	return map[pb.ErrorReason]connect.Code{
		accesstest.Unknown: connect.CodeUnauthenticated, accesstest.Forbidden: connect.CodePermissionDenied, accesstest.Hidden: connect.CodeNotFound,
		accesstest.Frozen: connect.CodeFailedPrecondition, accesstest.Ambiguous: connect.CodeInvalidArgument,
	}[reason]
}

// told is all that the caller is told by an error but the id of the request, with names of
// things in it made alike.
func (o spoken) told(names ...string) string {
	var wire *connect.Error
	if !errors.As(o.err, &wire) {
		return fmt.Sprint(o.err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s %q", wire.Code(), wire.Message())
	for _, d := range wire.Details() {
		value, err := d.Value()
		if err != nil {
			fmt.Fprintf(&text, " %s: %v", d.Type(), err)
			continue
		}
		if info, ok := value.(*errdetails.ErrorInfo); ok {
			delete(info.GetMetadata(), "request_id")
		}
		// In words, as the library's own form has blanks here and there that mean nothing.
		fmt.Fprintf(&text, " %s{%s}", d.Type(), strings.Join(strings.Fields(prototext.Format(value)), " "))
	}
	told := text.String()
	for _, name := range names {
		told = strings.ReplaceAll(told, name, "THING")
	}
	return told
}
