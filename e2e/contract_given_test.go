package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// note notes which fields of the contract a request gives.
func (w *walk) note(key string, op vendorOperation, sent map[string]any) {
	var look func(path string, kinds map[string]string, object map[string]any)
	look = func(path string, kinds map[string]string, object map[string]any) {
		for name, value := range object {
			w.given[path+"."+name] = true
			kind := kinds[name]
			if inner, list := element(kind); list {
				kind = inner
			}
			for _, part := range objectsOf(value) {
				look(path+"."+name, w.c.fields(kind), part)
			}
		}
	}
	look(key, op.Query, sent)
	look(key, op.Body, sent)
}

// allGiven checks that the requests of a method together had every field of the contract.
func (w *walk) allGiven(t *testing.T, m *methods.Method, op vendorOperation) {
	t.Helper()
	var look func(path string, kinds map[string]string, within []string)
	look = func(path string, kinds map[string]string, within []string) {
		for name, kind := range kinds {
			if slices.Contains(pageFields(), name) && len(within) == 0 {
				continue
			}
			if !w.given[path+"."+name] {
				t.Errorf("no request had %s", strings.TrimPrefix(path+"."+name, m.Verb+" "))
			}
			if inner, list := element(kind); list {
				kind = inner
			}
			if below := w.c.fields(kind); below != nil && !slices.Contains(within, kind) {
				look(path+"."+name, below, append(slices.Clone(within), kind))
			}
		}
	}
	look(m.Verb+" "+m.Path, op.Query, nil)
	look(m.Verb+" "+m.Path, op.Body, nil)
}

// account checks that each reduction is one, and that what counts as a secret here is
// what the API's description marks.
func (w *walk) account(t *testing.T) {
	t.Helper()
	for _, r := range reductions() {
		if w.taken[r.reason] == 0 {
			t.Errorf("nothing was reduced for this reason: %s", r.reason)
		}
		t.Logf("%4d values are not shown: %s", w.taken[r.reason], r.reason)
	}
	for shape, fields := range secretFields() {
		for _, field := range fields {
			if shape != "" && !slices.Contains(w.marks[shape], field) {
				t.Errorf("%s.%s is a secret and not marked as one", shape, field)
			}
		}
	}
	for shape, fields := range w.marks {
		for _, field := range fields {
			if !slices.Contains(secretFields()[shape], field) {
				t.Errorf("%s.%s is marked as a secret, and is none", shape, field)
			}
		}
	}
}
