package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestTeamsShareFairly has one team with a thousand changes queued before nine others come
// with some, and counts whose changes the vendor sees in which order.
func TestTeamsShareFairly(t *testing.T) {
	const heavy, light, each = 1000, 9, 20
	w := newWorld(t)
	ready := w.serve(t, "AGENTSVC_WORKERS=0")
	w.queueFor(t, ready, "heavy", heavy)
	for i := range light {
		w.queueFor(t, ready, fmt.Sprintf("light-%d", i+1), each)
	}
	ready.kill(t)
	w.serve(t)
	served := w.order(t, heavy+light*each)

	// As long as all have something waiting, each gets as much as the others.
	shares := map[string]float64{}
	for _, team := range served[:(light+1)*each] {
		shares[team]++
	}
	sum, squares := 0.0, 0.0
	for _, share := range shares {
		sum, squares = sum+share, squares+share*share
	}
	jain := sum * sum / (float64(light+1) * squares)
	first := -1
	for i, team := range served {
		if team != "heavy" {
			first = i
			break
		}
	}
	t.Logf("Jain's index over the shares of %d teams in the first %d changes: %.4f; the first light team's goes as number %d", light+1, (light+1)*each, jain, first+1)
	if jain < 0.99 {
		t.Errorf("the shares are %v", shares)
	}
	if first > 2 {
		t.Errorf("a light team waited for %d changes of the heavy one", first)
	}
}

// TestWeightsAreHonoured has a team of thrice the weight of another.
func TestWeightsAreHonoured(t *testing.T) {
	const each, counted = 400, 400
	w := newWorld(t)
	ready := w.serve(t, "AGENTSVC_WORKERS=0")
	w.token(t, "three")
	w.token(t, "one")
	w.exec(t, "UPDATE teams SET weight = 3 WHERE name = 'three'")
	w.queueFor(t, ready, "one", each)
	w.queueFor(t, ready, "three", each)
	ready.kill(t)
	w.serve(t)
	three := 0
	for _, team := range w.order(t, 2*each)[:counted] {
		if team == "three" {
			three++
		}
	}
	share := float64(three) / counted
	t.Logf("weights 3:1: %.4f of the first %d changes are the heavier team's, want 0.75", share, counted)
	if share < 0.75*0.98 || share > 0.75*1.02 {
		t.Errorf("the share is %.4f", share)
	}
}

// queueFor queues creations of a team, which it makes if there is none.
func (w *world) queueFor(t *testing.T, s *service, team string, n int) {
	t.Helper()
	c := s.as(t, w.token(t, team))
	for i := range n {
		if _, err := c.agents.CreateAgent(t.Context(), &pb.CreateAgentRequest{
			Name: new(fmt.Sprintf("%s/%04d", team, i)), ModelUuid: proto.String(genaisim.ModelLlama), Mutation: &pb.MutationOptions{Async: true},
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// order is whose agents the vendor made, one after the other, once it has made so many.
func (w *world) order(t *testing.T, n int) []string {
	t.Helper()
	await(t, "the vendor has made all agents", func() bool { return w.vendor.count(changing) >= n })
	var teams []string
	for _, name := range column[string](t, w, `SELECT o.resource_name FROM operations o JOIN vendor_calls c ON c.operation_id = o.id ORDER BY c.number`) {
		team, _, _ := strings.Cut(name, "/")
		teams = append(teams, team)
	}
	return teams
}
