package e2e_test

import (
	"slices"
	"testing"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// deleted has the vendor show resources that were deleted, as it says itself: lists have
// the others alone, and who asks for one is told that there is none.
func (w *walk) deleted(t *testing.T) {
	n := 0
	for _, m := range methods.API().All() {
		op := w.c.Operations[m.Verb+" "+m.Path]
		if !m.Upstream() || !(answered{m, op}).read() || slices.Contains(askedEachTime(), string(m.Name.Name())) {
			continue
		}
		w.filler.t = t
		req := w.filler.request(m, false)
		answer := w.answers.answer(op)
		if !living(op, answer, true) {
			continue
		}
		n++
		w.forget(t)
		w.seed(t, m, req)
		ours{}.set(m, req)
		w.answers.about(m, answer, func(field string) string { return methods.String(req, field) })
		w.vendor.play(w.script(m, op, answer))
		resp, _, failure := w.caller.call(t, m, req)
		if op.list() == "" {
			if failure == nil || failure.Code != "not_found" {
				t.Errorf("%s: %s", m.Name, failure)
			}
			continue
		}
		if failure != nil {
			t.Errorf("%s: %s", m.Name, failure)
			continue
		}
		shown, _ := theirs(t, resp)[op.list()].([]any)
		compared := comparison{c: w.c}
		compared.items("answer."+op.list(), op.Answer[op.list()], w.reduced(m, op, answer)[0][op.list()].([]any)[1:], shown)
		for _, problem := range compared.problems {
			t.Errorf("%s: %s", m.Name, problem)
		}
	}
	if n == 0 {
		t.Error("nothing was deleted")
	}
}
