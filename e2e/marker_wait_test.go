package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// later is a change whose caller did not wait for its secret.
type later struct {
	m   *methods.Method
	req proto.Message
	our ours
	own []string // the secrets
}

// waiting looks at secrets while the service has them: results that nobody has fetched
// yet, and a request that the vendor has not answered. Then it fetches the results: each
// can be had once.
func (h *markerWalk) waiting(t *testing.T) {
	h.filler.t = t
	var fetch []later
	for _, m := range methods.API().All() {
		if m.Access.GetReturnsSecret() {
			l := later{m: m, req: h.request(t, m, false), our: ours{team: "payments", key: "later " + string(m.Name)}}
			_, l.own = h.script(m, l.req)
			h.wait(t, h.begin(t, l))
			fetch = append(fetch, l)
		}
	}
	create := methods.API().ByName("ProviderKeyService.CreateAnthropicApiKey")
	slow := later{m: create, req: h.request(t, create, false), our: ours{team: "payments", key: "slow"}}
	answer, _ := h.script(create, slow.req)
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	h.vendor.play(map[string]func(arrival) reply{create.Verb + " " + create.Path: func(arrival) reply {
		arrived <- struct{}{}
		<-release
		return reply{http.StatusOK, answer}
	}})
	operation := h.begin(t, slow)
	<-arrived
	if requests, results := h.sealed(t, "request"), h.sealed(t, "response"); requests != 1 || results != len(fetch) {
		t.Errorf("%d requests and %d results are sealed, want 1 and %d", requests, results, len(fetch))
	}
	h.hunt(t, "while secrets wait")
	close(release)
	h.wait(t, operation)
	for _, l := range fetch {
		h.fetch(t, l)
	}
	if requests, results := h.sealed(t, "request"), h.sealed(t, "response"); requests != 0 || results != 0 {
		t.Errorf("%d requests and %d results are sealed still", requests, results)
	}
}

// begin makes a change without waiting for it, and answers its operation's id.
func (h *markerWalk) begin(t *testing.T, l later) string {
	t.Helper()
	h.calls++
	l.our.async = true
	l.our.set(l.m, l.req)
	resp, raw, failure := h.caller.call(t, l.m, l.req)
	if failure != nil {
		t.Fatalf("%s: %s", l.m.Name, failure)
	}
	h.wantNone(t, "the answer of "+string(l.m.Name)+" before its end", string(raw))
	return resp.(interface{ GetOperation() *pb.Operation }).GetOperation().GetId()
}

// wait waits for an operation, and looks at what that answers.
func (h *markerWalk) wait(t *testing.T, operation string) {
	t.Helper()
	resp, raw, failure := h.caller.call(t, methods.API().ByName("OperationService.WaitOperation"),
		&pb.WaitOperationRequest{Id: operation, Timeout: durationpb.New(patience)})
	if failure != nil {
		t.Fatalf("waiting for operation %s: %s", operation, failure)
	}
	h.wantNone(t, "WaitOperation", string(raw))
	if state := resp.(*pb.WaitOperationResponse).GetOperation().GetState(); state != pb.Operation_STATE_SUCCEEDED {
		t.Errorf("operation %s is %s", operation, state)
	}
}

// fetch repeats a call for its secret, twice.
func (h *markerWalk) fetch(t *testing.T, l later) {
	t.Helper()
	l.our.set(l.m, l.req)
	_, raw, failure := h.caller.call(t, l.m, l.req)
	if failure != nil {
		t.Errorf("%s: %s", l.m.Name, failure)
		return
	}
	h.wantNone(t, "the answer of "+string(l.m.Name), string(raw), l.own...)
	for _, secret := range l.own {
		if !strings.Contains(string(raw), secret) {
			t.Errorf("the caller was not given the %s", h.told(h.in(secret)))
		}
		h.delivered++
	}
	_, raw, failure = h.caller.call(t, l.m, l.req)
	if failure == nil || failure.Code != "failed_precondition" {
		t.Errorf("%s: fetched again, the secret is answered with %s", l.m.Name, failure)
		return
	}
	h.wantNone(t, "the error of "+string(l.m.Name), failure.text(raw))
}
