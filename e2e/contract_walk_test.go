package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// TestContract calls every method of the vendor's through the real binary, with a request
// in which every field is given, and has the vendor answer with every field that its
// contract knows. What arrives at the vendor and what the caller gets must be all of it,
// and nothing else.
func TestContract(t *testing.T) {
	c := readContract(t)
	w := &walk{
		c: c, filler: &filler{t: t, c: c}, answers: &answerer{c: c, n: 1 << 16}, covered: map[string]bool{},
		given: map[string]bool{}, taken: map[string]int{}, marks: map[string][]string{},
		requests: map[string]int{}, responses: map[string]int{},
	}
	var admin string
	w.world, w.vendor, w.service, admin = startScripted(t, c)
	w.caller = w.service.caller(t, admin)
	byOperation := map[string]*methods.Method{}
	for _, m := range methods.API().All() {
		if m.Upstream() {
			byOperation[m.Verb+" "+m.Path] = m
			t.Run(string(m.Name.Parent().Name()+"."+m.Name.Name()), func(t *testing.T) { w.method(t, m) })
		}
	}
	t.Run("the routes of an agent, where a reply was lost", func(t *testing.T) { w.lostRoute(t, byOperation) })
	t.Run("what was deleted and is still shown", w.deleted)
	t.Run("a refusal in an answer of success", func(t *testing.T) { w.refusals(t, byOperation) })
	for _, key := range slices.Sorted(maps.Keys(c.Operations)) {
		if byOperation[key] == nil {
			t.Errorf("no method is for %s", key)
		} else if !w.covered[key] {
			t.Errorf("%s was not called", key)
		}
	}
	w.account(t)
	for line := range strings.SplitSeq(w.service.String(), "\n") {
		if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, "departs from what was agreed") {
			t.Errorf("the service's log has %s", line)
		}
	}
	t.Logf("operations: %d/%d", len(w.covered), vendorOperations)
	t.Logf("%d request fields (%d values) and %d response fields (%d values) compared, in %d calls",
		len(w.requests), sum(w.requests), len(w.responses), sum(w.responses), w.calls)
}

// walk is the test's way through all methods.
type walk struct {
	*world

	c       *contract
	vendor  *scripted
	service *service
	caller  *caller
	filler  *filler
	answers *answerer

	covered map[string]bool // operations that arrived and were answered
	given   map[string]bool // fields of requests, by operation and path
	taken   map[string]int  // by the reasons of reductions
	marks   map[string][]string

	calls               int
	requests, responses map[string]int // values compared, by operation and field
}

// counted adds what a comparison compared for an operation.
func (c *comparison) counted(key string, into map[string]int) {
	for _, where := range c.compared {
		into[key+" "+where]++
	}
}

func sum(counts map[string]int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}

// method calls one method in every way that makes a difference.
func (w *walk) method(t *testing.T, m *methods.Method) {
	t.Helper()
	w.filler.t = t
	op, known := w.c.Operations[m.Verb+" "+m.Path]
	if !known {
		t.Fatalf("the contract has no %s %s", m.Verb, m.Path)
	}
	maps.Copy(w.marks, secretMarks(w.c, m, op))
	filtered := slices.ContainsFunc(slices.Collect(maps.Keys(op.Query)), func(name string) bool { return !slices.Contains(pageFields(), name) })
	full := m.Change() || m.Access.GetAction() == pb.Action_ACTION_REVEAL || filtered
	if (answered{m, op}).read() {
		w.call(t, m, op, w.filler.request(m, false), true)
	}
	if full {
		w.filler.choices = 1
		for w.filler.choice = 0; w.filler.choice < w.filler.choices; w.filler.choice++ {
			w.call(t, m, op, w.filler.request(m, true), false)
		}
	}
	w.filler.zero, w.answers.zero = true, true
	w.call(t, m, op, w.filler.request(m, full), false)
	w.filler.zero, w.answers.zero = false, false
	w.allGiven(t, m, op)
}

// call makes one call and compares all of it. If there may be a copy of the answer, it is
// compared as well.
func (w *walk) call(t *testing.T, m *methods.Method, op vendorOperation, req proto.Message, copied bool) {
	t.Helper()
	w.calls++
	w.forget(t)
	w.seed(t, m, req)
	sent := theirs(t, req)
	w.note(m.Verb+" "+m.Path, op, sent)
	our := ours{team: "payments", reason: "told to nobody", key: fmt.Sprintf("key %d", w.calls), pageSize: 1}
	our.set(m, req)
	if err := protovalidate.Validate(req); err != nil {
		t.Fatalf("the filled request is not valid: %v", err)
	}
	answer := w.answers.answer(op)
	w.answers.about(m, answer, func(field string) string { return methods.String(req, field) })
	w.answers.agreed(op, answer)
	if (answered{m, op}).read() && !slices.Contains(askedEachTime(), string(m.Name.Name())) {
		living(op, answer, false)
	}
	script := w.script(m, op, answer)
	if string(m.Name.Name()) == "ListAgentRoutes" {
		answer = w.routes(t, methods.String(req, "uuid"), script)
	}
	w.vendor.play(withParts(m, req, script))
	answers := []map[string]any{answer}
	if op.paged() {
		answers = pages(op, answer)
	}
	answers = w.reduced(m, op, answers...)
	compare := func(source pb.Freshness_Source) {
		if m.Verb == http.MethodGet && op.list() != "" {
			w.list(t, m, op, req, answers, source)
		} else {
			w.one(t, m, op, req, answers[0], source)
		}
	}
	compare(pb.Freshness_SOURCE_VENDOR)
	w.arrivals(t, m, op, sent)
	if m.Input.Descriptor().Fields().ByName("max_staleness") == nil || !copied {
		return
	}
	w.vendor.play(nil)
	our.stale = true
	our.set(m, req)
	compare(pb.Freshness_SOURCE_MIRROR)
	if seen, _ := w.vendor.played(); len(seen) > 0 {
		t.Errorf("to answer from the copy, the vendor was asked for %s", seen[0].key)
	}
}

// reduced are answers as callers are to be shown them.
func (w *walk) reduced(m *methods.Method, op vendorOperation, answers ...map[string]any) []map[string]any {
	shown := make([]map[string]any, 0, len(answers))
	for _, answer := range answers {
		want := plainJSON(answer).(map[string]any)
		reduce(w.c, answered{m, op}, want, w.taken)
		shown = append(shown, want)
	}
	return shown
}

// script is what the vendor answers to the method, and to the one that shows its result.
func (w *walk) script(m *methods.Method, op vendorOperation, answer map[string]any) map[string]func(arrival) reply {
	script := map[string]func(arrival) reply{m.Verb + " " + m.Path: always(http.StatusOK, answer)}
	if m.Verb == http.MethodGet && op.paged() {
		pages := pages(op, answer)
		script[m.Verb+" "+m.Path] = func(a arrival) reply {
			if a.page() > len(pages) {
				return reply{http.StatusBadRequest, map[string]any{"id": "bad_request", "message": "there is no such page"}}
			}
			return reply{http.StatusOK, pages[a.page()-1]}
		}
	}
	if shows := methods.API().ByName(m.Access.GetShownBy()); shows != nil {
		shown := w.answers.answer(w.c.Operations[shows.Verb+" "+shows.Path])
		script[shows.Verb+" "+shows.Path] = func(a arrival) reply {
			w.answers.about(shows, shown, func(field string) string { return a.params[field] })
			return reply{http.StatusOK, shown}
		}
	}
	return script
}

// one makes a call with one answer.
func (w *walk) one(t *testing.T, m *methods.Method, op vendorOperation, req proto.Message, want map[string]any, source pb.Freshness_Source) {
	t.Helper()
	resp, _, failure := w.caller.call(t, m, req)
	if failure != nil {
		t.Errorf("%s", failure)
		return
	}
	compared := comparison{c: w.c}
	compared.fields("answer", op.Answer, want, theirs(t, resp))
	w.told(t, m, &compared)
	w.fresh(t, m, resp, source)
	if answer, ok := resp.(interface{ GetOperation() *pb.Operation }); ok {
		if state := answer.GetOperation().GetState(); state != pb.Operation_STATE_SUCCEEDED {
			t.Errorf("the operation is %s", state)
		}
	}
}

// list goes through all pages of a list of ours: they must have all that is on those of
// the vendor's, in whatever order.
func (w *walk) list(t *testing.T, m *methods.Method, op vendorOperation, req proto.Message, vendors []map[string]any, source pb.Freshness_Source) {
	t.Helper()
	var all, items []any
	for _, page := range vendors {
		all = append(all, page[op.list()].([]any)...)
	}
	compared := comparison{c: w.c}
	for page := 1; ; page++ {
		resp, _, failure := w.caller.call(t, m, req)
		if failure != nil {
			t.Errorf("page %d: %s", page, failure)
			return
		}
		w.fresh(t, m, resp, source)
		got := theirs(t, resp)
		here, _ := got[op.list()].([]any)
		items = append(items, here...)
		compared.fields("answer", op.Answer, lacking(vendors[min(page, len(vendors))-1], op.list()), lacking(got, op.list()))
		if total, ok := resp.(interface{ GetTotalSize() int32 }); ok && int(total.GetTotalSize()) != len(all) {
			t.Errorf("page %d: total_size is %d, want %d", page, total.GetTotalSize(), len(all))
		}
		next := methods.String(resp, "next_page_token")
		if paged := req.ProtoReflect().Descriptor().Fields().ByName("page_size"); paged != nil && (next == "") != (page == len(all)) {
			t.Errorf("page %d of %d has next_page_token %q", page, len(all), next)
		}
		if next == "" || page > len(all) {
			break
		}
		ours{pageToken: next, stale: source == pb.Freshness_SOURCE_MIRROR}.set(m, req)
	}
	compared.items("answer."+op.list(), op.Answer[op.list()], all, items)
	w.told(t, m, &compared)
}

// told reports what a comparison of an answer found.
func (w *walk) told(t *testing.T, m *methods.Method, compared *comparison) {
	t.Helper()
	compared.counted(m.Verb+" "+m.Path, w.responses)
	const most = 10 // which are enough to see what is wrong
	for i, problem := range compared.problems {
		if i == most {
			t.Errorf("and %d more", len(compared.problems)-most)
			break
		}
		t.Errorf("%s", problem)
	}
}

// fresh checks where an answer says that it is from, if it says so.
func (w *walk) fresh(t *testing.T, m *methods.Method, resp proto.Message, source pb.Freshness_Source) {
	t.Helper()
	if m.Output.Descriptor().Fields().ByName("freshness") == nil {
		return
	}
	if answer, ok := resp.(interface{ GetFreshness() *pb.Freshness }); !ok ||
		answer.GetFreshness().GetSource() != source || answer.GetFreshness().GetStale() {
		t.Errorf("the answer is to be from %s, and says %v", source, answer.GetFreshness())
	}
}

// arrivals checks what arrived at the vendor since the script was set: what was asked for,
// as it was asked for, and nothing else.
func (w *walk) arrivals(t *testing.T, m *methods.Method, op vendorOperation, sent map[string]any) {
	t.Helper()
	seen, problems := w.vendor.played()
	for _, problem := range problems {
		t.Errorf("%s", problem)
	}
	times := map[string]int{}
	pages := map[string]bool{}
	for _, a := range seen {
		times[a.key]++
		if !a.scripted {
			t.Errorf("arrived as well: %s %v", a.key, a.params)
		}
		if a.key != m.Verb+" "+m.Path {
			continue
		}
		compared := comparison{c: w.c}
		compared.request(m, op, sent, a)
		compared.counted(a.key, w.requests)
		for _, problem := range compared.problems {
			t.Errorf("arrived: %s", problem)
		}
		pages[a.query.Get("page")] = true
	}
	key := m.Verb + " " + m.Path
	switch {
	case string(m.Name.Name()) == "ListAgentRoutes":
		return // it is put together from the agents; see [walk.lostRoute]
	case m.Verb == http.MethodGet && op.list() != "":
		if op.paged() && len(pages) != 2 {
			t.Errorf("the pages %v were asked for, want 2", slices.Sorted(maps.Keys(pages)))
		}
	case times[key] != 1:
		t.Errorf("%s arrived %d times", key, times[key])
	}
	if shows := methods.API().ByName(m.Access.GetShownBy()); shows != nil && times[shows.Verb+" "+shows.Path] != 1 {
		t.Errorf("the result was asked for %d times", times[shows.Verb+" "+shows.Path])
	}
	if times[key] > 0 && !t.Failed() {
		w.covered[key] = true
	}
}

func lacking(object map[string]any, name string) map[string]any {
	rest := maps.Clone(object)
	delete(rest, name)
	return rest
}
