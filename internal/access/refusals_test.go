package access_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// TestManyRefusalsAreToldAtOnce in the words that each alone is refused in.
func TestManyRefusalsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	check := func(who string, uuids ...string) error {
		req := &pb.BatchUpdateAgentsRequest{Uuids: uuids, Update: &pb.UpdateAgentRequest{}}
		_, err := w.guard.Check(t.Context(), w.callers[who], methods.API().ByRequest(req), req)
		return err
	}
	one := func(who, id string) string {
		req := &pb.UpdateAgentRequest{Uuid: id}
		_, err := w.guard.Check(t.Context(), w.callers[who], methods.API().ByRequest(req), req)
		return fault.Connect(err).Message()
	}
	if err := check("operator", paymentsAgent); err != nil {
		t.Errorf("the own agent: %v", err)
	}
	for name, tc := range map[string]struct {
		who     string
		uuids   []string
		refused []string
		want    pb.ErrorReason
		events  int
	}{
		"another team's among one's own": {"operator", []string{paymentsAgent, searchAgent}, []string{searchAgent}, missing, 1},
		"another's and one that never was": {
			"operator", []string{unknownAgent, paymentsAgent, searchAgent, unownedAgent}, []string{unknownAgent, searchAgent, unownedAgent}, missing, 1,
		},
		"none that is there": {"operator", []string{unknownAgent, deletedAgent}, []string{unknownAgent, deletedAgent}, missing, 1},
		"seen and not there": {"both", []string{searchAgent, unknownAgent}, []string{searchAgent, unknownAgent}, forbidden, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var words []string
			for _, id := range tc.refused {
				words = append(words, one(tc.who, id))
			}
			w.aMinuteLater(t)
			before := len(w.events(t))
			err := check(tc.who, tc.uuids...)
			if got := fault.Connect(err).Message(); fault.ReasonOf(err) != tc.want || got != strings.Join(words, "; ") {
				t.Errorf("refused with %s: %q, want %q", fault.ReasonOf(err), got, words)
			}
			if after := w.events(t)[before:]; len(after) != tc.events {
				t.Errorf("recorded %+v, want %d events", after, tc.events)
			}
		})
	}
	var many []string
	for range 30 {
		many = append(many, uuid.NewString())
	}
	if got := fault.Connect(check("operator", many...)).Message(); !strings.HasSuffix(got, fmt.Sprintf("%s that you may see; and 10 more", many[19])) {
		t.Errorf("30 are refused with %q", got)
	}
}
