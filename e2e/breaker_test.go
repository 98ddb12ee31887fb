package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestTheVendorIsAway takes the vendor away for longer than any operation's tries would
// last, were they used up: reads are answered from the copy, changes wait, and all of them
// are made once it is back.
func TestTheVendorIsAway(t *testing.T) {
	w := newWorld(t)
	replicas := []*service{w.serve(t), w.serve(t)}
	c := replicas[0].as(t, w.payments)
	agent := newAgent(t, c, "outlives-an-outage")
	w.vendor.fail(t, genaisim.Fault{Status: http.StatusServiceUnavailable})
	var waiting []*pb.Operation
	for n := range 8 {
		change := updating(agent, fmt.Sprintf("asked for during the outage: %d", n))
		if n%2 == 1 {
			change = creating(fmt.Sprintf("made-after-the-outage-%d", n))
		}
		made, err := change.do(t.Context(), replicas[n%2].as(t, w.payments), &pb.MutationOptions{Async: true})
		if err != nil {
			t.Fatalf("a change was not taken: %v", err)
		}
		waiting = append(waiting, made.operation)
	}
	await(t, "both replicas have found out that the vendor is away", func() bool {
		return w.count(t, "SELECT count(*) FROM accounts WHERE opened_at IS NOT NULL AND probes > 0") == 1
	})

	before := len(w.vendor.Requests())
	for _, s := range replicas {
		got, err := s.as(t, w.payments).agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: agent, MaxStaleness: now()})
		if err != nil || !got.GetFreshness().GetStale() || got.GetAgent().GetName() != "outlives-an-outage" {
			t.Errorf("a read is answered %v, %v", got.GetFreshness(), err)
		}
	}
	for _, r := range w.vendor.Requests()[before:] {
		if !strings.HasSuffix(r.Path, "/regions") {
			t.Errorf("the vendor was asked %s %s", r.Method, r.Path)
		}
	}

	w.vendor.fail(t)
	for _, op := range waiting {
		ended(t, c, op.GetId())
	}
	if n := w.count(t, "SELECT count(*) FROM operations WHERE state <> 'SUCCEEDED'"); n != 0 {
		t.Errorf("%d operations did not succeed", n)
	}
	if n := w.count(t, "SELECT max(claims) FROM operations"); n > 6 {
		t.Errorf("an operation used up %d of its tries", n)
	}
	if n := w.count(t, "SELECT count(*) FROM accounts WHERE opened_at IS NOT NULL OR failures > 0"); n != 0 {
		t.Error("the breaker is not closed")
	}
	if !strings.Contains(replicas[0].String()+replicas[1].String(), "the vendor does not answer") {
		t.Error("nobody logged it")
	}
}
