package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access/accesstest"
)

// TestTheMatrixAtThePort calls every method of every service through the port of the real
// program, as everybody and about everything, and compares with what the methods' own options
// promise. Nothing but those has to be written for a new method, but for what its request must
// say to be a valid one; until it is, this fails.
func TestTheMatrixAtThePort(t *testing.T) {
	x := newMatrix(t)
	x.estates(t)
	x.open(t)
	var refused, allowed []cellCall
	for _, m := range x.methods(t) {
		for _, c := range append(x.cells(t, m), x.furtherCells(t, m)...) {
			made := x.prepare(t, c)
			if x.want(c) == accesstest.Allowed {
				allowed = append(allowed, made)
			} else {
				refused = append(refused, made)
			}
		}
	}
	if t.Failed() {
		return // a request that is not valid says nothing about access
	}
	t.Run("refused", func(t *testing.T) { x.refused(t, refused) })
	t.Run("allowed", func(t *testing.T) { x.allowed(t, allowed) })
	t.Run("strangers", x.strangers)
	t.Run("no method is left out", x.complete)
	cells := sum(x.called)
	t.Logf("%d cells of %d methods, and %d about what a request names besides: %d refused, %d allowed; strangers sent %d bodies that cannot be read",
		cells, len(x.called), x.further, len(refused), len(allowed), x.bodies)
}

// matrixAtOnce is how many calls are made at a time.
const matrixAtOnce = 8

// matrix is the world of the test: three teams with an estate each, one of them frozen, an
// estate that is nobody's, and one of which there is nothing.
type matrix struct {
	*world

	c       *contract
	service *service
	admin   *caller
	tokens  map[accesstest.Who]string
	speaks  map[accesstest.Who]*speaker
	estate  map[string]estate // by team; "" is nobody
	listed  []string          // the kinds of which our copy has everything

	// What was called: cells by method, those about what a request names besides, and what
	// strangers sent.
	called          map[string]int
	further, bodies int
}

// cellCall is a cell that is ready to be called.
type cellCall struct {
	cell

	req proto.Message
	// names are those of the things in the request.
	names []string
}

// cellAnswer is a call and how it ended.
type cellAnswer struct {
	cellCall
	spoken

	over string // the protocol
}

func (a cellAnswer) String() string {
	return fmt.Sprintf("%s as %s of %s over %s: %s", shortName(a.m), a.who, a.things, a.over, a.told(a.names...))
}

// callAll makes calls, several at a time, each in another protocol than the one before.
func (x *matrix) callAll(t *testing.T, calls []cellCall) []cellAnswer {
	t.Helper()
	answers := make([]cellAnswer, len(calls))
	var next atomic.Int64
	var running sync.WaitGroup
	for range matrixAtOnce {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(calls); i = int(next.Add(1)) - 1 {
				c := calls[i]
				in := x.speaks[c.who].protocols
				over := in[(i+i/7)%len(in)]
				answers[i] = cellAnswer{cellCall: c, spoken: x.speaks[c.who].call(t.Context(), c.m, c.req, over), over: over.name}
			}
		})
	}
	running.Wait()
	for _, a := range answers {
		if a.about > 0 {
			x.further++
		} else {
			x.called[string(a.m.Name)]++
		}
	}
	return answers
}

// refused makes the calls that must be, and looks that they left nothing behind but their
// traces in the history.
func (x *matrix) refused(t *testing.T, calls []cellCall) {
	t.Helper()
	kept, asked := x.kept(t), len(x.vendor.Requests())
	alike := map[string]cellAnswer{}
	var problems []string
	for _, a := range x.callAll(t, calls) {
		want := x.want(a.cell)
		if a.reason() != want || a.code() != codeOf(want) {
			problems = append(problems, fmt.Sprintf("%s; want %s", a, want))
		}
		// What is not there and what is another's are told alike, and all is to nobody.
		key := fmt.Sprint(shortName(a.m), a.who, a.about)
		switch want {
		case accesstest.Unknown:
			key = "nobody"
		case accesstest.Hidden:
		default:
			continue
		}
		if like, ok := alike[key]; !ok {
			alike[key] = a
		} else if a.told(a.names...) != like.told(like.names...) {
			problems = append(problems, fmt.Sprintf("%s\nis told otherwise than\n%s", a, like))
		}
	}
	report(t, problems)
	for _, r := range x.vendor.Requests()[asked:] {
		t.Errorf("for somebody who was refused, the vendor was asked for %s", r.Operation)
	}
	for table, is := range x.kept(t) {
		if was := kept[table]; is != was {
			t.Errorf("calls that were refused changed %s from\n%s\nto\n%s", table, was, is)
		}
	}
}

// report tells of as many as are enough to see what is wrong.
func report(t *testing.T, problems []string) {
	t.Helper()
	const most = 30
	for _, problem := range problems[:min(len(problems), most)] {
		t.Error(problem)
	}
	if more := len(problems) - most; more > 0 {
		t.Errorf("and %d more", more)
	}
}

// kept is what is in the tables, but for those that a refusal is noted in.
func (x *matrix) kept(t *testing.T) map[string]string {
	t.Helper()
	all, _ := x.tables(t)
	maps.DeleteFunc(all, func(table, _ string) bool {
		return strings.HasPrefix(table, "audit_") || table == "denials" || table == "service_tokens" // which says when it was used
	})
	all["tokens that are good"] = strings.Join(column[string](t, x.world, "SELECT id FROM service_tokens WHERE revoked_at IS NULL ORDER BY id"), "\n")
	if len(all) < 15 || all["operations"] == "" || all["memberships"] == "" {
		t.Fatalf("these are not all tables: %q", slices.Collect(maps.Keys(all)))
	}
	return all
}

// allowed makes the calls that must not be refused. Changes are to be checked only, where
// their methods can.
func (x *matrix) allowed(t *testing.T, calls []cellCall) {
	t.Helper()
	operations, asked := x.kept(t)["operations"], len(x.vendor.Requests())
	otherwise := map[string]int{}
	var problems []string
	for _, a := range x.callAll(t, calls) {
		if a.err != nil {
			otherwise[shortName(a.m)+" "+strings.TrimPrefix(a.reason().String(), "ERROR_REASON_")]++
		}
		switch {
		case x.taken(a.cell):
			if a.err != nil && a.code() != codeOf(accesstest.Hidden) {
				problems = append(problems, fmt.Sprintf("%s; want the vendor to say that there is none", a))
			}
		case !a.passed():
			problems = append(problems, fmt.Sprintf("%s; want it allowed", a))
		}
	}
	report(t, problems)
	t.Logf("%d calls that were allowed were answered, but for these, which ended with an error that comes after access: %v", len(calls), otherwise)
	if x.kept(t)["operations"] != operations {
		t.Error("a change that was to be checked only is in the queue")
	}
	changes := map[string]bool{}
	for _, m := range x.methods(t) {
		changes[m.Verb+" "+m.Path] = m.Change()
	}
	for _, r := range x.vendor.Requests()[asked:] {
		if changes[r.Operation] {
			t.Errorf("a change that was to be checked only came to the vendor: %s", r.Operation)
		}
	}
}

// passed says that a call was not stopped by the access check, nor by what comes before: there
// was an answer, or an error that only comes after it.
func (a cellAnswer) passed() bool {
	switch a.reason() {
	case accesstest.Allowed, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED, pb.ErrorReason_ERROR_REASON_ALREADY_EXISTS,
		pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED:
		return true
	case accesstest.Hidden: // of something else than what access is decided by
		return !slices.Contains(a.names, detail[*errdetails.ResourceInfo](a.err).GetResourceName())
	default:
		return false
	}
}
