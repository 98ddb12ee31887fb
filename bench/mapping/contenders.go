package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"connectrpc.com/vanguard"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

const (
	agentID = "c441bf77-a6b4-11ef-bf8f-4e013e2ddde4"
	route   = "/v2/gen-ai/agents/" + agentID

	oursToBytes       = "agentsvc to Protobuf bytes"
	oursToMessage     = "agentsvc to a message"
	vanguardToBytes   = "vanguard to Protobuf bytes"
	vanguardToMessage = "vanguard to a message"
	floor             = "protojson.Unmarshal alone, to a message"
)

// contender is one way to do the work.
type contender struct {
	name string
	once func() error
	// check does it once and shows the outcome.
	check func(*pb.GetAgentResponse) error
}

func contenders(ctx context.Context, body []byte) ([]contender, error) {
	ours, err := newOurs(ctx, body)
	if err != nil {
		return nil, err
	}
	theirs, err := newTheirs(ctx, body)
	if err != nil {
		return nil, err
	}
	plain := func(got *pb.GetAgentResponse) error {
		return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, got)
	}
	into := func(message func(*pb.GetAgentResponse) error) func() error {
		return func() error { return message(&pb.GetAgentResponse{}) }
	}
	return []contender{
		{oursToBytes, func() error { _, err := ours.bytes(); return err }, from(ours.bytes)},
		{vanguardToBytes, func() error { _, err := theirs.bytes(); return err }, from(theirs.bytes)},
		{oursToMessage, into(ours.message), ours.message},
		{vanguardToMessage, into(theirs.message), theirs.message},
		{floor, into(plain), plain},
	}, nil
}

func from(written func() ([]byte, error)) func(*pb.GetAgentResponse) error {
	return func(got *pb.GetAgentResponse) error {
		b, err := written()
		if err != nil {
			return err
		}
		return proto.Unmarshal(b, got)
	}
}

// headers are those that the vendor sends with an answer.
func headers(h http.Header) {
	h.Set("Content-Type", "application/json")
	h.Set("Date", "Mon, 23 Nov 2026 10:00:00 GMT")
	h.Set("X-Request-Id", "0f8fad5b-d9cb-469f-a165-70867728950e")
	h.Set("Ratelimit-Limit", "5000")
	h.Set("Ratelimit-Remaining", "4999")
	h.Set("Ratelimit-Reset", "1795514400")
}

// ours is the service's client, with the vendor in the place of its transport.
type ours struct {
	ctx    context.Context //nolint:containedctx // one call's arguments, made once
	client *upstream.Client
	method *methods.Method
}

func newOurs(ctx context.Context, body []byte) (*ours, error) {
	client, err := upstream.New(upstream.Config{
		BaseURL: "https://vendor.example", Token: func() string { return "token" }, Transport: vendor{body},
	})
	if err != nil {
		return nil, fmt.Errorf("making the client: %w", err)
	}
	return &ours{ctx: ctx, client: client, method: methods.API().ByRequest(&pb.GetAgentRequest{})}, nil
}

func (o *ours) message(got *pb.GetAgentResponse) error {
	_, err := o.client.Do(o.ctx, o.method, &pb.GetAgentRequest{Uuid: agentID}, got)
	return err
}

func (o *ours) bytes() ([]byte, error) {
	got := &pb.GetAgentResponse{}
	if err := o.message(got); err != nil {
		return nil, err
	}
	return proto.Marshal(got)
}

// vendor answers every request as the vendor answers for the agent.
type vendor struct{ body []byte }

func (v vendor) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := asked(req); err != nil {
		return nil, err
	}
	res := &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: req,
		Body: io.NopCloser(bytes.NewReader(v.body)), ContentLength: int64(len(v.body)),
	}
	headers(res.Header)
	return res, nil
}

func (v vendor) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if err := asked(req); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	headers(w.Header())
	_, _ = w.Write(v.body) // in memory
}

// asked checks that the request was mapped, too.
func asked(req *http.Request) error {
	if req.Method != http.MethodGet || req.URL.Path != route {
		return fmt.Errorf("asked %s %s", req.Method, req.URL.Path)
	}
	return nil
}

// theirs is vanguard before the vendor.
type theirs struct {
	ctx        context.Context //nolint:containedctx // one call's arguments, made once
	transcoder http.Handler
	request    []byte
}

func newTheirs(ctx context.Context, body []byte) (*theirs, error) {
	transcoder, err := vanguard.NewTranscoder([]*vanguard.Service{
		vanguard.NewService(agentsvcv1connect.AgentServiceName, vendor{body},
			vanguard.WithTargetProtocols(vanguard.ProtocolREST),
			vanguard.WithTargetCodecs(vanguard.CodecJSON),
			vanguard.WithNoTargetCompression()),
	})
	if err != nil {
		return nil, fmt.Errorf("making the transcoder: %w", err)
	}
	request, err := proto.Marshal(&pb.GetAgentRequest{Uuid: agentID})
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	return &theirs{ctx: ctx, transcoder: transcoder, request: request}, nil
}

func (t *theirs) bytes() ([]byte, error) {
	req, err := http.NewRequestWithContext(t.ctx, http.MethodPost, agentsvcv1connect.AgentServiceGetAgentProcedure, bytes.NewReader(t.request))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/proto")
	req.Header.Set("Connect-Protocol-Version", "1")
	w := &recorder{header: http.Header{}}
	t.transcoder.ServeHTTP(w, req)
	if w.status != http.StatusOK && w.status != 0 {
		return nil, fmt.Errorf("status %d: %s", w.status, w.body.Bytes())
	}
	if w.body.Len() == 0 {
		return nil, errors.New("no answer")
	}
	return w.body.Bytes(), nil
}

func (t *theirs) message(got *pb.GetAgentResponse) error {
	b, err := t.bytes()
	if err != nil {
		return err
	}
	return proto.Unmarshal(b, got)
}

// recorder is the least that a server gives to a handler.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
func (r *recorder) Flush()                      {}
