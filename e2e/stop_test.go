package e2e_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestGracefulStop ends the service in order while the vendor takes its time over a
// change that somebody waits for.
func TestGracefulStop(t *testing.T) {
	w := newWorld(t)
	s := w.serve(t)
	c := s.as(t, w.payments)
	agent := newAgent(t, c, "outlives-its-service")
	slow, behind := updating(agent, "made during the stop"), updating(agent, "made after the stop began, or by the next one")
	w.vendor.fail(t, genaisim.Fault{Method: slow.verb, Path: slow.path, DelayAfterMS: 2500, Count: 1})
	answered := make(chan error, 1)
	go func() {
		_, err := slow.do(t.Context(), c, &pb.MutationOptions{})
		answered <- err
	}()
	await(t, "the vendor has made the change and not answered", func() bool { return len(w.vendor.effects(slow.mine)) == 1 })
	queued, err := behind.do(t.Context(), c, &pb.MutationOptions{Async: true})
	if err != nil {
		t.Fatal(err)
	}

	begun := time.Now()
	s.signal(t, syscall.SIGTERM)

	await(t, "health checks are told to look elsewhere", func() bool {
		status, _ := get(t, s.url+"/readyz")
		return status == http.StatusServiceUnavailable
	})
	if err := <-answered; err != nil {
		t.Errorf("the call under way was told %v", err)
	}
	if code := s.wait(t); code != 0 {
		t.Errorf("the process ended with %d", code)
	}
	t.Logf("stopped after %s", time.Since(begun).Round(10*time.Millisecond))
	if strings.Contains(s.String(), "broken off") {
		t.Error("calls were broken off")
	}

	c = w.serve(t).as(t, w.payments)
	ended(t, c, queued.operation.GetId())
	if effects := w.vendor.effects(slow.mine); len(effects) != 2 {
		t.Errorf("the effects are %q, want one for each change", effects)
	}
	behind.shows(t, c, w.vendor)
}

// TestStopsWhenIdle checks that a service ends soon whose callers keep their
// connections and call nothing.
func TestStopsWhenIdle(t *testing.T) {
	w := newWorld(t)
	s := w.serve(t)
	if _, err := s.overGRPC(t, w.payments).teams.WhoAmI(t.Context(), &pb.WhoAmIRequest{}); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	s.signal(t, syscall.SIGTERM)
	if code := s.wait(t); code != 0 {
		t.Errorf("the process ended with %d", code)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s to stop", took)
	}
}

// TestStreamsEndWhenTheServiceStops follows an agent that takes an hour to be deployed.
func TestStreamsEndWhenTheServiceStops(t *testing.T) {
	w := newWorld(t)
	w.vendor = newVendor(t, genaisim.Config{DeployTime: time.Hour})
	s := w.serve(t)
	agent := newAgent(t, s.as(t, w.payments), "takes-its-time")
	clients := map[string]*client{"gRPC": s.overGRPC(t, w.payments), "Connect": s.as(t, w.payments)}
	open := map[string]*connect.ServerStreamForClient[pb.WaitAgentResponse]{}
	for protocol, c := range clients {
		stream, err := c.agents.WaitAgent(t.Context(), &pb.WaitAgentRequest{Uuid: agent})
		if err != nil {
			t.Fatal(err)
		}
		if !stream.Receive() || stream.Msg().GetProgress().GetOutcome() != pb.WaitProgress_OUTCOME_WAITING {
			t.Fatalf("%s: at first %v, %v", protocol, stream.Msg(), stream.Err())
		}
		open[protocol] = stream
	}
	begun := time.Now()
	s.signal(t, syscall.SIGTERM)
	for protocol, stream := range open {
		for stream.Receive() {
			t.Logf("%s: %v", protocol, stream.Msg().GetProgress())
		}
		if detail[*errdetails.ErrorInfo](stream.Err()).GetReason() != pb.ErrorReason_ERROR_REASON_STOPPING.String() || connect.CodeOf(stream.Err()) != connect.CodeUnavailable {
			t.Errorf("%s: the stream ended with %v", protocol, stream.Err())
		}
	}
	if code := s.wait(t); code != 0 {
		t.Errorf("the process ended with %d", code)
	}
	if took := time.Since(begun); took > 8*time.Second {
		t.Errorf("streams kept it for %s", took)
	}
}
