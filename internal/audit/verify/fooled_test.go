package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/audit/verify"
)

// What another reader of JSON takes for an event must not be passed over for its form.
func TestForgedLinesAreNotPassedOver(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.seal(t, 9)
	forged := string(b.events[4])
	for name, text := range map[string]string{
		"a space before":         ` {"index":5,"event":` + forged + `}`,
		"spaces within":          `{ "index" : 5, "event" : ` + forged + `}`,
		"the event first":        `{"event":` + forged + `,"index":5}`,
		"an index after null":    `{"index":null,"event":` + forged + `,"index":5}`,
		"null after an index":    `{"event":` + forged + `,"index":5,"index":null}`,
		"escaped names":          `{"\u0069ndex":5,"\u0065vent":` + forged + `}`,
		"names in capitals":      `{"Index":5,"Event":` + forged + `}`,
		"something before":       `{"x":1,"index":5,"event":` + forged + `}`,
		"two events in a line":   `{"event":` + forged + `,"event":` + forged + `}`,
		"two objects in a line":  `{"count":9}{"index":5,"event":` + forged + `}`,
		"a mark of byte order":   "\ufeff" + `{"index":5,"event":` + forged + `}`,
		"no object":              `[{"index":5,"event":` + forged + `}]`,
		"a line without its end": `{"event":` + forged,
	} {
		report := check(t, slices.Insert(b.export(), 3, text), verify.Options{Checkpoints: b.checkpoints})
		if report.OK() || report.Problems[0].Kind != verify.Malformed || report.Problems[0].Line != 4 {
			t.Errorf("%s: %+v", name, report)
		}
	}
	honest := slices.Concat([]string{`{"export":"audit"}`, ""}, b.export(), []string{`{"event":` + forged + `}`, `{"index":null,"event":` + forged + `}`})
	if report := check(t, honest, verify.Options{Checkpoints: b.checkpoints}); !report.OK() || report.Unsealed != 2 || report.Other != 2 {
		t.Errorf("an honest export: %+v", report)
	}
}

// An event that was changed, and dated so that it may stand behind more events than are kept
// in memory, must not be held against nothing.
func TestAnEventFarFromItsPlaceIsHeldAgainstSomething(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	const most, many = 100, 110
	event := func(place, second int) []byte {
		at := time.Date(2026, 1, 1, 0, 0, second, 0, time.UTC).Format("2006-01-02T15:04:05.000000Z")
		return fmt.Appendf(nil, `{"id":"%036d","recorded_at":"%s"}`, place, at)
	}
	var tree evidence.Range
	for i := range many {
		tree.Add(audit.Leaf(event(i, i)))
	}
	c, err := b.signers.Sign(tree.Size(), tree.Root())
	if err != nil {
		t.Fatal(err)
	}
	var export strings.Builder
	for i := 1; i < many; i++ {
		export.WriteString(number(i, event(i, i)) + "\n")
	}
	export.WriteString(number(0, event(0, many)))
	report, err := verify.Export(strings.NewReader(export.String()), verify.Options{Checkpoints: []evidence.Checkpoint{c}}.Pending(most))
	if err != nil {
		t.Fatal(err)
	}
	if report.OK() || !strings.Contains(report.FirstBad().Text, "held against nothing") {
		t.Errorf("a changed event is taken for good: %+v", report)
	}
}
