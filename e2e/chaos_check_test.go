package e2e_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// outcome is an operation as the database has it, with what the vendor's log has of it.
type outcome struct {
	ID, Mark, Method, State, OrderKey, RequestID, Reason string
	Number                                               int64
	Attempts, Claims                                     int
	CreatedAt                                            time.Time
	History                                              []string

	deed    *deed
	effects []genaisim.Request
	// secrets are those that a lost one was replaced by.
	secrets []genaisim.Request
}

const outcomesQuery = `
SELECT o.id::text, o.reason, o.method, o.state, o.order_key, o.vendor_request_id,
       coalesce((SELECT max(e.error_reason) FROM audit_events e WHERE e.operation_id = o.id), ''), o.number, o.attempts, o.claims, o.created_at,
       (SELECT coalesce(array_agg(e.outcome ORDER BY e.recorded_at), '{}') FROM audit_events e WHERE e.operation_id = o.id)
  FROM operations o ORDER BY o.number`

// outcomes are all operations, in their order.
func (c *chaos) outcomes(t *testing.T) []*outcome {
	t.Helper()
	rows, err := c.rows.Query(t.Context(), outcomesQuery)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*outcome, error) {
		var o outcome
		return &o, row.Scan(&o.ID, &o.Mark, &o.Method, &o.State, &o.OrderKey, &o.RequestID, &o.Reason, &o.Number, &o.Attempts, &o.Claims,
			&o.CreatedAt, &o.History)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// figures are what a run is judged by. All but the last four must be 0.
type figures struct {
	lost, doubled, nobodys, untold, unended, unknown, disordered, unrecorded int

	failed, cancelled, secrets, unanswered int
}

// check matches what clients were told, operations, the vendor's log and the history one
// to one.
func (c *chaos) check(t *testing.T) {
	t.Helper()
	all := c.outcomes(t)
	var f figures
	c.matchEffects(t, all, &f)
	c.matchAnswers(t, all, &f)
	for _, o := range all {
		o.count(t, &f)
	}
	inOrder(t, all, &f)
	t.Logf("of %d operations: lost %d, doubled %d, effects of nobody %d, told otherwise %d, not ended %d, outcome unknown %d, out of order %d, "+
		"history wrong %d, answers leaked %d in %d looks", len(all), f.lost, f.doubled, f.nobodys, f.untold, f.unended, f.unknown, f.disordered,
		f.unrecorded, c.leaks.Load(), c.looks.Load())
	t.Logf("%d failed, %d were cancelled, %d secrets were lost and replaced; clients repeated %d calls and got no answer to %d that they could not repeat; "+
		"%d operations were taken up again, %d sent again", f.failed, f.cancelled, f.secrets, c.repeats.Load(), f.unanswered, c.count(t, "SELECT count(*) FROM operations WHERE claims > 1"),
		c.count(t, "SELECT count(*) FROM operations WHERE attempts > 1"))
	for what, want := range map[string]int{
		"SELECT count(*) FROM operations WHERE leased_by IS NOT NULL OR lease_expires_at IS NOT NULL":                                                0,
		"SELECT count(*) FROM operations WHERE sealed_request IS NOT NULL":                                                                           0,
		"SELECT count(*) FROM audit_events WHERE origin = 'UPSTREAM'":                                                                                0,
		"SELECT count(*) FROM audit_events e WHERE operation_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.id = e.operation_id)": 0,
		"SELECT max(number) - count(*) FROM vendor_calls":                                                                                            0,
	} {
		if got := c.count(t, what); got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	// Reads may be more: net/http repeats one whose connection broke.
	granted := c.count(t, "SELECT count(*) FROM vendor_calls WHERE purpose IN ('CHANGE', 'RECONCILE')")
	if made := c.vendor.count(changing); made > granted {
		t.Errorf("%d changes were sent on a budget of %d", made, granted)
	}
}

// matchEffects gives each effect in the vendor's log to the operation that it is of.
func (c *chaos) matchEffects(t *testing.T, all []*outcome, f *figures) {
	t.Helper()
	byMark, byPlace := map[string]*outcome{}, map[string]*outcome{}
	for _, o := range all {
		if byMark[o.Mark] != nil {
			f.doubled++
			t.Errorf("%s became two operations, %s and %s", o.Mark, byMark[o.Mark].ID, o.ID)
		}
		byMark[o.Mark] = o
	}
	for _, d := range c.deeds() {
		if o := byMark[d.mark]; o != nil {
			if o.deed = d; byPlace[d.at] != nil {
				t.Errorf("%s and %s cannot be told apart in the vendor's log", d.mark, byPlace[d.at].Mark)
			}
			byPlace[d.at] = o
		}
	}
	makers := map[string]*outcome{} // of keys, by their path
	for _, r := range c.vendor.Requests() {
		if r.Effect == genaisim.NoEffect {
			continue
		}
		o := byPlace[place(r.Method, r.Path, string(marks.Find(r.Body)))]
		path, anew := strings.CutSuffix(r.Path, regenerated)
		if anew && (o == nil || r.Time.Before(o.CreatedAt)) {
			if o = makers[path]; o != nil {
				o.secrets = append(o.secrets, r)
				continue
			}
		}
		if o == nil {
			f.nobodys++
			t.Errorf("the vendor was changed by nobody's request: %s, %s", place(r.Method, r.Path, string(r.Body)), r.Effect)
			continue
		}
		o.effects = append(o.effects, r)
		if strings.HasPrefix(r.Effect, "created api key ") {
			makers[r.Path+"/"+r.ResourceUUID] = o
		}
	}
}

// matchAnswers compares what clients were told with what there is.
func (c *chaos) matchAnswers(t *testing.T, all []*outcome, f *figures) {
	t.Helper()
	byID, byMark := map[string]*outcome{}, map[string]*outcome{}
	for _, o := range all {
		byID[o.ID], byMark[o.Mark] = o, o
		if o.deed == nil {
			f.nobodys++
			t.Errorf("operation %s with the reason %q is nobody's", o.ID, o.Mark)
		}
	}
	for _, d := range c.deeds() {
		o := byID[d.operation]
		if d.operation == "" && d.once {
			f.unanswered++
			if made := byMark[d.mark]; made != nil && d.denied {
				f.untold++
				t.Errorf("%s: the client was told to try again, and operation %s is there", d.mark, made.ID)
			}
			continue
		}
		switch {
		case o == nil || o.deed != d:
			f.lost++
			t.Errorf("%s: the client was told of operation %q, which is not its own or not there", d.mark, d.operation)
		case d.state.String() != "STATE_"+o.State:
			f.untold++
			t.Errorf("%s: the client was told %s, and operation %s is %s", d.mark, d.state, o.ID, o.State)
		case !d.mayEnd(o):
			f.untold++
			t.Errorf("%s: %s ended as %s (%s)", d.mark, d.at, d.state, o.Reason)
		}
	}
}

// mayEnd says whether a change may end as it did. One that a failing vendor could not be
// brought to, often enough, fails as well.
func (d *deed) mayEnd(o *outcome) bool {
	switch {
	case o.Reason == "VENDOR_UNAVAILABLE", o.Reason == "BUDGET_EXHAUSTED":
		return true
	case d.refused:
		return o.State == "FAILED"
	case d.takenBack && o.State == "CANCELLED":
		return true
	}
	return o.State == "SUCCEEDED"
}

// count judges one operation by the effects it had.
func (o *outcome) count(t *testing.T, f *figures) {
	t.Helper()
	least, most := 0, 0
	switch {
	case o.State == "SUCCEEDED" && strings.HasSuffix(o.Method, ".RegenerateAgentApiKey"):
		least, most = 1, o.Attempts // each lost reply costs the secret that was in it
	case o.State == "SUCCEEDED":
		least, most = 1, 1
	case o.State == "CANCELLED":
		f.cancelled++
	case o.State == "FAILED" && o.Reason == "OUTCOME_UNKNOWN":
		f.unknown++
		t.Errorf("nobody can tell what became of operation %s, %s", o.ID, o.Method)
		most = 1
	case o.State == "FAILED":
		f.failed++
	default:
		f.unended++
		t.Errorf("operation %s is %s", o.ID, o.State)
		most = 1
	}
	f.secrets += len(o.secrets) + max(0, len(o.effects)-1)
	if len(o.effects) < least {
		f.lost++
		t.Errorf("operation %s, %s of %s, is %s and changed nothing at the vendor", o.ID, o.Method, o.Mark, o.State)
	}
	if len(o.effects) > most || len(o.secrets) >= max(o.Claims, 1) {
		f.doubled++
		t.Errorf("operation %s, %s of %s, is %s and was made %d times, with %d more secrets", o.ID, o.Method, o.Mark, o.State, len(o.effects), len(o.secrets))
	}
	// Whose reply was not lost: the request that the vendor names is the one that did it.
	if o.Claims == 1 && len(o.effects) == 1 && o.effects[0].RequestID != o.RequestID {
		f.untold++
		t.Errorf("operation %s has the vendor's request %s, and its effect was by %s", o.ID, o.RequestID, o.effects[0].RequestID)
	}
	if want := []string{"ACCEPTED", o.State}; !slices.Equal(o.History, want) {
		f.unrecorded++
		t.Errorf("the history has operation %s be %q, want %q", o.ID, o.History, want)
	}
}

// inOrder checks that changes of one resource took effect in the order in which they were
// accepted. Two of different clients have one only if the first was answered before the
// second was asked for: a number is drawn before the commit that shows it.
func inOrder(t *testing.T, all []*outcome, f *figures) {
	t.Helper()
	before := map[string][]*outcome{}
	for _, o := range all { // by number
		if len(o.effects) == 0 || o.deed == nil {
			continue
		}
		for _, b := range before[o.OrderKey] {
			if b.deed.answered.Before(o.deed.asked) && b.effects[len(b.effects)-1].Seq > o.effects[0].Seq ||
				o.deed.answered.Before(b.deed.asked) {
				f.disordered++
				t.Errorf("operations %s and %s did not take effect in the order in which they were accepted: both are of %s", b.ID, o.ID, o.OrderKey)
			}
		}
		before[o.OrderKey] = append(before[o.OrderKey], o)
	}
}
