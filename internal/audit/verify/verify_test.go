package verify_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/audit/verify"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// book is a history as an auditor has it: lines, leaves and checkpoints.
type book struct {
	signers     *evidence.Signers
	events      [][]byte
	leaves      bytes.Buffer
	tree        evidence.Range
	checkpoints []evidence.Checkpoint
}

func newBook(t testing.TB) *book {
	t.Helper()
	private, _, err := evidence.NewKey("log.example.com")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(private), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &book{}
	if b.signers, err = evidence.LoadSigners(path); err != nil {
		t.Fatal(err)
	}
	return b
}

// seal adds n events and a checkpoint.
func (b *book) seal(t testing.TB, n int) {
	t.Helper()
	for range n {
		id, err := uuid.NewV7()
		if err != nil {
			t.Fatal(err)
		}
		event := audit.AppendCanonical(nil, dbsql.AuditEvent{
			ID: id, RecordedAt: time.Date(2026, 1, 1, 0, 0, len(b.events), 0, time.UTC), Actor: "ada@example.com", Action: "UPDATE",
			Method: "agentsvc.v1.AgentService.UpdateAgent", ResourceKind: "agent", ResourceUUID: &id, ResourceName: "refunds", Reason: "ticket 4711",
			Outcome: "SUCCEEDED", Origin: "API", OperationID: &id, VendorRequestID: id.String(), RequestID: id.String(), ClientAddress: "192.0.2.17",
			UserAgent: "agentsvc-client/1.0 connect-go/1.21", Before: []byte(`{"temperature": 0.5}`), After: []byte(`{"temperature": 0.7}`),
		})
		leaf := audit.Leaf(event)
		b.tree.Add(leaf)
		b.leaves.Write(leaf[:])
		b.events = append(b.events, event)
	}
	c, err := b.signers.Sign(b.tree.Size(), b.tree.Root())
	if err != nil {
		t.Fatal(err)
	}
	b.checkpoints = append(b.checkpoints, c)
}

func number(index int, event []byte) string {
	return fmt.Sprintf(`{"index":%d,"event":%s}`, index, event)
}

// export is the lines of an honest export.
func (b *book) export() []string {
	var lines []string
	for i, event := range b.events {
		lines = append(lines, number(i, event))
	}
	return lines
}

func check(t *testing.T, lines []string, o verify.Options) *verify.Report {
	t.Helper()
	report, err := verify.Export(strings.NewReader(strings.Join(lines, "\n")+"\n"), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// Every way to cheat with an export is found, by the root alone and by the leaves, and the
// first bad event is named.
func TestEveryCheatIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for range 4 {
		b.seal(t, 100)
	}
	newest := b.checkpoints[3:]
	other := slices.Concat(b.events[:150:150], [][]byte{bytes.Replace(b.events[150], []byte("0.7"), []byte("0.1"), 1)}, b.events[151:])
	renumbered := func(events [][]byte) []string {
		return (&book{events: events}).export()
	}
	swapped := slices.Clone(b.events)
	swapped[20], swapped[30] = swapped[30], swapped[20]
	whole := b.export()
	for name, tc := range map[string]struct {
		lines       []string
		kind        verify.Kind
		place       int64
		onlyLeaves  bool // the root alone tells where to look, not which
		checkpoints []evidence.Checkpoint
	}{
		"changed":                      {renumbered(other), verify.Changed, 150, true, newest},
		"changed, older checkpoints":   {renumbered(other), verify.Changed, 150, true, b.checkpoints},
		"missing":                      {slices.Delete(slices.Clone(whole), 150, 151), verify.Missing, 150, false, newest},
		"missing and renumbered":       {renumbered(slices.Delete(slices.Clone(b.events), 150, 151)), verify.Changed, 150, true, newest},
		"the first missing":            {whole[1:], verify.Missing, 0, false, newest},
		"added at the place of one":    {slices.Insert(slices.Clone(whole), 150, number(150, other[150])), verify.Doubled, 150, false, newest},
		"added and renumbered":         {renumbered(slices.Insert(slices.Clone(b.events), 150, other[150])), verify.Changed, 150, true, newest},
		"doubled":                      {slices.Insert(slices.Clone(whole), 150, whole[149]), verify.Doubled, 149, false, newest},
		"two lines swapped":            {slices.Concat(whole[:20], whole[30:31], whole[21:30], whole[20:21], whole[31:]), verify.Reordered, 21, false, newest},
		"two events swapped":           {renumbered(swapped), verify.Changed, 20, true, newest},
		"the last ten cut off":         {whole[:390], verify.Cut, 390, false, newest},
		"all cut off":                  {nil, verify.Cut, 0, false, newest},
		"a line cut off in the middle": {slices.Concat(whole[:150], []string{whole[150][:100]}, whole[151:]), verify.Malformed, 150, false, newest},
		"an index with a zero before":  {slices.Concat(whole[:150], []string{strings.Replace(whole[150], ":150", ":0150", 1)}, whole[151:]), verify.Missing, 150, false, newest},
		"a space more":                 {slices.Concat(whole[:150], []string{strings.Replace(whole[150], `,"actor":`, `, "actor":`, 1)}, whole[151:]), verify.Changed, 150, true, newest},
		"a place that is too large":    {slices.Concat(whole[:150], []string{strings.Replace(whole[150], ":150", ":99999999999999999999", 1)}, whole[151:]), verify.Missing, 150, false, newest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := check(t, tc.lines, verify.Options{Checkpoints: tc.checkpoints})
			first := report.FirstBad()
			if report.OK() {
				t.Fatal("the root alone: nothing found")
			}
			if !tc.onlyLeaves && (first.Index != tc.place || !slices.ContainsFunc(report.Problems, func(p verify.Problem) bool { return p.Kind == tc.kind })) {
				t.Errorf("the root alone: %v", report.Problems)
			}
			if want := int64(100); len(tc.checkpoints) > 1 && first.Index != want {
				t.Errorf("with older checkpoints, the root narrows it to places from %d on, want %d", first.Index, want)
			}
			report = check(t, tc.lines, verify.Options{Checkpoints: tc.checkpoints, Leaves: bytes.NewReader(b.leaves.Bytes())})
			if first := report.FirstBad(); report.OK() || first.Index != tc.place || !slices.ContainsFunc(report.Problems, func(p verify.Problem) bool { return p.Kind == tc.kind }) {
				t.Errorf("with leaves: %v", report.Problems)
			}
		})
	}
}

func TestAnHonestExportIsGood(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for range 3 {
		b.seal(t, 77)
	}
	b.seal(t, 10) // after the checkpoint that it is held against
	whole := b.export()
	more := slices.Concat([]string{`{"export":"audit"}`}, whole, []string{`{"index":null,"event":{}}`, `{"count":241}`})
	for name, tc := range map[string]struct {
		lines            []string
		checked, beyond  int64
		unsealed, others int64
	}{
		"as it is":           {whole, 231, 10, 0, 0},
		"with its own lines": {more, 231, 10, 1, 2},
	} {
		for _, leaves := range []*bytes.Reader{nil, bytes.NewReader(b.leaves.Bytes())} {
			o := verify.Options{Checkpoints: b.checkpoints[:3]}
			if leaves != nil {
				o.Leaves = leaves
			}
			report := check(t, tc.lines, o)
			if !report.OK() || report.Checked != tc.checked || report.Beyond != tc.beyond || report.Unsealed != tc.unsealed || report.Other != tc.others {
				t.Errorf("%s: %+v", name, report)
			}
		}
	}
	if report := check(t, nil, verify.Options{Checkpoints: []evidence.Checkpoint{{Origin: "x"}}}); !report.OK() {
		t.Errorf("an empty history: %v", report.Problems)
	}
}

// An export in the order of time may have places out of order, where events became
// visible late; its lines must then be in the order of time.
func TestAnExportMayBeOrderedByTime(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.seal(t, 50)
	// Seal the tenth last: places and times then differ.
	again := newBook(t)
	again.signers = b.signers
	for _, event := range slices.Concat(b.events[:10], b.events[11:], b.events[10:11]) {
		leaf := audit.Leaf(event)
		again.tree.Add(leaf)
		again.events = append(again.events, event)
	}
	c, err := again.signers.Sign(50, again.tree.Root())
	if err != nil {
		t.Fatal(err)
	}
	lines := again.export()
	byTime := slices.Concat(lines[:10], lines[49:], lines[10:49])
	o := verify.Options{Checkpoints: []evidence.Checkpoint{c}}
	if report := check(t, byTime, o); !report.OK() || report.Checked != 50 {
		t.Errorf("in the order of time: %v", report.Problems)
	}
	if report := check(t, lines, o); !report.OK() {
		t.Errorf("in the order of places: %v", report.Problems)
	}
	byTime[30], byTime[31] = byTime[31], byTime[30]
	if report := check(t, byTime, o); report.OK() || report.FirstBad().Kind != verify.Reordered {
		t.Errorf("two swapped: %v", report.Problems)
	}
}

func TestAPartOfTheHistory(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.seal(t, 300)
	whole := b.export()
	part := slices.Concat(whole[10:20], whole[200:201], whole[290:])
	leaves := func() *bytes.Reader { return bytes.NewReader(b.leaves.Bytes()) }
	if _, err := verify.Export(strings.NewReader(""), verify.Options{Checkpoints: b.checkpoints, Filtered: true}); err == nil || !strings.Contains(err.Error(), "leaf hashes") {
		t.Errorf("a part without leaves: %v", err)
	}
	report := check(t, part, verify.Options{Checkpoints: b.checkpoints, Leaves: leaves(), Filtered: true})
	if !report.OK() || report.Checked != 21 {
		t.Errorf("a part with leaves: %+v", report)
	}
	part[10] = strings.Replace(part[10], "ada", "eve", 1)
	report = check(t, part, verify.Options{Checkpoints: b.checkpoints, Leaves: leaves(), Filtered: true})
	if report.OK() || report.FirstBad().Index != 200 {
		t.Errorf("a changed part: %+v", report)
	}
	// What retention dropped is not missed, if one says so; what comes after it is.
	if report := check(t, whole[100:], verify.Options{Checkpoints: b.checkpoints, Leaves: leaves(), First: 100}); !report.OK() {
		t.Errorf("after retention: %v", report.Problems)
	}
	if report := check(t, whole[101:], verify.Options{Checkpoints: b.checkpoints, Leaves: leaves(), First: 100}); report.OK() || report.FirstBad().Index != 100 {
		t.Errorf("after retention, one missing: %v", report.Problems)
	}
}

// Who can sign can make a history of his own; an older checkpoint that is kept elsewhere
// tells.
func TestForksAndCutTailsShowAgainstOlderCheckpoints(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.seal(t, 100)
	b.seal(t, 100)
	forge := newBook(t)
	forge.signers = b.signers
	forge.events = slices.Clone(b.events[:90])
	for _, event := range forge.events {
		forge.tree.Add(audit.Leaf(event))
		leaf := audit.Leaf(event)
		forge.leaves.Write(leaf[:])
	}
	forge.seal(t, 60) // 150 events, of which 90 are true
	for name, tc := range map[string]struct {
		checkpoints []evidence.Checkpoint
		kind        verify.Kind
		first       int64
	}{
		"alone it is good":            {forge.checkpoints, "", 0},
		"an older checkpoint":         {slices.Concat(b.checkpoints[:1], forge.checkpoints), verify.Changed, 0},
		"a checkpoint of more events": {slices.Concat(b.checkpoints[1:], forge.checkpoints), verify.Changed, 150},
	} {
		for _, leaves := range []*bytes.Reader{nil, bytes.NewReader(forge.leaves.Bytes())} {
			o := verify.Options{Checkpoints: tc.checkpoints}
			if leaves != nil {
				o.Leaves = leaves
			}
			report := check(t, forge.export(), o)
			if report.OK() != (tc.kind == "") {
				t.Errorf("%s: %v", name, report.Problems)
			}
		}
	}
	// With the true leaves, kept with the older checkpoint, the first forged event is named.
	report := check(t, forge.export(), verify.Options{Checkpoints: b.checkpoints, Leaves: bytes.NewReader(b.leaves.Bytes())})
	if report.FirstBad().Index != 90 || report.FirstBad().Kind != verify.Changed {
		t.Errorf("the first forged event is not named: %v", report.Problems)
	}
	twin := newBook(t)
	twin.signers = b.signers
	twin.seal(t, 100)
	report = check(t, b.export(), verify.Options{Checkpoints: slices.Concat(b.checkpoints, twin.checkpoints)})
	if report.OK() || report.FirstBad().Kind != verify.Forked {
		t.Errorf("two histories of one size: %v", report.Problems)
	}
}

// The leaves may be forged as well: they are bound to the checkpoint before they are
// believed.
func TestForgedLeavesAreNotBelieved(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.seal(t, 100)
	b.seal(t, 100)
	events := slices.Clone(b.events)
	events[150] = bytes.Replace(events[150], []byte("ada"), []byte("eve"), 1)
	leaves := slices.Clone(b.leaves.Bytes())
	leaf := audit.Leaf(events[150])
	copy(leaves[150*32:], leaf[:])
	report := check(t, (&book{events: events}).export(), verify.Options{Checkpoints: b.checkpoints, Leaves: bytes.NewReader(leaves)})
	if report.OK() || report.FirstBad().Index != 100 {
		t.Errorf("a change with its leaf: %v", report.Problems)
	}
	report = check(t, b.export(), verify.Options{Checkpoints: b.checkpoints, Leaves: bytes.NewReader(leaves[:100])})
	if report.OK() || report.FirstBad().Kind != verify.Cut {
		t.Errorf("leaves that end too soon: %v", report.Problems)
	}
}

// Lines may be longer than what is read at once.
func TestLongLines(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for range 3 {
		event := audit.AppendCanonical(nil, dbsql.AuditEvent{ID: uuid.New(), RecordedAt: time.Unix(int64(len(b.events)), 0), Reason: strings.Repeat("long ", 1<<20)})
		b.tree.Add(audit.Leaf(event))
		b.events = append(b.events, event)
	}
	b.seal(t, 1)
	if report := check(t, b.export(), verify.Options{Checkpoints: b.checkpoints}); !report.OK() || report.Checked != 4 {
		t.Errorf("%+v", report)
	}
}

func BenchmarkExport(b *testing.B) {
	book := newBook(b)
	book.seal(b, 20_000)
	text := []byte(strings.Join(book.export(), "\n"))
	for b.Loop() {
		report, err := verify.Export(bytes.NewReader(text), verify.Options{Checkpoints: book.checkpoints})
		if err != nil || !report.OK() {
			b.Fatal(report, err)
		}
	}
	b.ReportMetric(float64(b.N)*20_000/b.Elapsed().Seconds(), "events/s")
	b.SetBytes(int64(len(text)))
}
