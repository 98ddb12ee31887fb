package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/audit/verify"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// checkGroup is how many events a check reads at once.
const checkGroup = 1000

// check holds the database against its own log.
type check struct {
	store       *db.Store
	checkpoints []evidence.Checkpoint // by size
	report      CheckReport
	tree        evidence.Range
	compared    int
	tiers       [][]tlog.Hash     // what is not yet a full block, from the leaves up
	kept        time.Time         // events before were dropped by retention
	there       map[string]bool   // months of which there are events
	gone        []dbsql.AuditLeaf // the first event of each month before that of which one is not there
	good        int64             // size of the last checkpoint that the leaves lead to
	departed    bool              // one was found that they do not lead to
}

// CheckReport is what a check found.
type CheckReport struct {
	verify.Report
	// Size is how many places the log has, Dropped how many of their events retention
	// dropped, and Waiting how many events have no place yet; at the most 20 are counted.
	Size, Dropped, Waiting int64
}

// Check holds every event against its leaf, the leaves against the nodes above them, and the
// roots against the checkpoints of the database and those given, which were kept elsewhere.
// With keys, the database's checkpoints must be signed by one of them. It reads the whole
// history.
func Check(ctx context.Context, store *db.Store, outside []evidence.Checkpoint, keys note.Verifiers) (*CheckReport, error) {
	c := &check{store: store, checkpoints: slices.Clone(outside), there: map[string]bool{}}
	if err := c.gather(ctx, keys); err != nil {
		return nil, err
	}
	for {
		more, err := c.stretch(ctx)
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
	}
	c.report.Size = c.tree.Size()
	c.wholeMonths()
	for _, at := range c.checkpoints[c.compared:] {
		c.problem(verify.Cut, c.tree.Size(), uuid.Nil, fmt.Sprintf("the log ends before this place, and a checkpoint of %d events was signed", at.Size))
	}
	waiting, err := store.UnsealedEvents(ctx, dbsql.UnsealedEventsParams{AtMost: 20})
	if err != nil {
		return nil, fmt.Errorf("looking for events without a place: %w", db.Classify(err))
	}
	head, err := store.LogHead(ctx, sweepBack.Seconds())
	if err != nil {
		return nil, fmt.Errorf("looking where the log ends: %w", db.Classify(err))
	}
	for _, e := range waiting {
		if head.Size > 0 && e.RecordedAt.Before(head.Since) {
			c.problem(verify.Added, -1, e.ID, fmt.Sprintf("it is dated %s and has no place: it was put in later, or its transaction took more than %s",
				e.RecordedAt.UTC().Format(time.RFC3339), sweepBack))
			continue
		}
		c.report.Waiting++
	}
	return &c.report, nil
}

// gather collects the database's own checkpoints and what retention has dropped.
func (c *check) gather(ctx context.Context, keys note.Verifiers) error {
	for size := int64(0); ; {
		rows, err := c.store.CheckpointsAfter(ctx, dbsql.CheckpointsAfterParams{Size: size, AtMost: checkGroup})
		if err != nil {
			return fmt.Errorf("reading checkpoints: %w", db.Classify(err))
		}
		for _, row := range rows {
			size = row.Size
			own := evidence.Checkpoint{Origin: evidence.OriginOf(row.Note), Size: row.Size, Root: tlog.Hash(row.Root), Note: row.Note}
			if keys != nil {
				signed, err := evidence.Open(row.Note, keys)
				if err != nil || signed.Size != row.Size || signed.Root != own.Root {
					c.problem(verify.Forked, row.Size-1, uuid.Nil,
						"the database's checkpoint that ends here is not signed by a key given here, or its row says something else")
				}
			}
			c.checkpoints = append(c.checkpoints, own)
		}
		if len(rows) < checkGroup {
			break
		}
	}
	slices.SortStableFunc(c.checkpoints, func(a, b evidence.Checkpoint) int { return int(min(1, max(-1, a.Size-b.Size))) })
	if n := len(c.checkpoints); n > 0 {
		c.report.Checkpoint = c.checkpoints[n-1]
	}
	month, err := c.store.LastDroppedMonth(ctx)
	if err != nil {
		return fmt.Errorf("looking for what retention dropped: %w", db.Classify(err))
	}
	if month == "" {
		return nil
	}
	dropped, err := time.Parse("2006-01", month)
	if err != nil {
		return fmt.Errorf("the history tells of a dropped month %q: %w", month, err)
	}
	c.kept = dropped.AddDate(0, 1, 0)
	return nil
}

// stretch checks the next places; false at the end.
func (c *check) stretch(ctx context.Context) (bool, error) {
	first := c.tree.Size()
	leaves, err := c.store.Leaves(ctx, dbsql.LeavesParams{First: first, Beyond: first + checkGroup})
	if err != nil {
		return false, fmt.Errorf("reading leaves: %w", db.Classify(err))
	}
	if len(leaves) == 0 {
		return c.gap(ctx, first)
	}
	rows, err := c.store.SealedEvents(ctx, dbsql.SealedEventsParams{First: first, Beyond: first + checkGroup})
	if err != nil {
		return false, fmt.Errorf("reading sealed events: %w", db.Classify(err))
	}
	var text []byte
	at := 0
	for _, leaf := range leaves {
		if leaf.Index != c.tree.Size() {
			return c.gap(ctx, c.tree.Size())
		}
		for at < len(rows) && rows[at].Index < leaf.Index {
			at++
		}
		switch {
		case at < len(rows) && rows[at].Index == leaf.Index:
			text = audit.AppendCanonical(text[:0], rows[at].AuditEvent)
			if hash := audit.Leaf(text); hash != tlog.Hash(leaf.Hash) {
				c.problem(verify.Changed, leaf.Index, leaf.EventID,
					fmt.Sprintf("the event hashes to %s, and %s was sealed at this place", hash, tlog.Hash(leaf.Hash)))
			}
			c.report.Checked++
			c.there[monthOf(leaf)] = true
		case leaf.RecordedAt.Before(c.kept):
			c.report.Dropped++
			if n := len(c.gone); n == 0 || monthOf(c.gone[n-1]) != monthOf(leaf) {
				c.gone = append(c.gone, leaf)
			}
		default:
			c.problem(verify.Missing, leaf.Index, leaf.EventID, "it was sealed at this place and is not in the history")
		}
		if err := c.grow(ctx, tlog.Hash(leaf.Hash)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// wholeMonths reports what is gone from a month of which other events are there: retention
// drops months whole, whatever the history may tell of it.
func (c *check) wholeMonths() {
	for _, leaf := range c.gone {
		if c.there[monthOf(leaf)] {
			c.problem(verify.Missing, leaf.Index, leaf.EventID,
				"it was sealed at this place and is not in the history, and retention has not dropped it: other events of its month are there")
		}
	}
}

func monthOf(leaf dbsql.AuditLeaf) string { return leaf.RecordedAt.UTC().Format("2006-01") }

// gap reports that a place has no leaf although one behind it has. Without it no root behind
// it can be computed, so the check ends there.
func (c *check) gap(ctx context.Context, place int64) (bool, error) {
	head, err := c.store.LogHead(ctx, 0)
	if err != nil {
		return false, fmt.Errorf("looking where the log ends: %w", db.Classify(err))
	}
	if head.Size > place {
		c.problem(verify.Missing, place, uuid.Nil, fmt.Sprintf("this place is empty in the log itself, which has %d", head.Size))
	}
	return false, nil
}

// grow adds a leaf, and compares the nodes and checkpoints that it completes.
func (c *check) grow(ctx context.Context, leaf tlog.Hash) error {
	c.tree.Add(leaf)
	size := c.tree.Size()
	for tier, hash := 0, leaf; ; tier++ {
		if tier == len(c.tiers) {
			c.tiers = append(c.tiers, nil)
		}
		if c.tiers[tier] = append(c.tiers[tier], hash); len(c.tiers[tier]) < fanOut {
			break
		}
		hash = rootOf(c.tiers[tier])
		c.tiers[tier] = c.tiers[tier][:0]
		n := size>>((tier+1)*tierHeight) - 1
		rows, err := c.store.NodeHashes(ctx, dbsql.NodeHashesParams{Level: int16(tier + 1), First: n, Beyond: n + 1})
		if err != nil {
			return fmt.Errorf("reading nodes: %w", db.Classify(err))
		}
		if len(rows) != 1 || tlog.Hash(rows[0].Hash) != hash {
			c.report.Add(verify.Stretch(verify.Changed, n<<((tier+1)*tierHeight), size-1,
				fmt.Sprintf("node %d of tier %d is not what its leaves make", n, tier+1)))
		}
	}
	for c.compared < len(c.checkpoints) && c.checkpoints[c.compared].Size <= size {
		at := c.checkpoints[c.compared]
		switch {
		case c.departed || at.Size != size: // what comes after the first wrong one is wrong with it
		case at.Root == c.tree.Root():
			c.good = size
		default:
			c.departed = true
			c.report.Add(verify.Stretch(verify.Changed, c.good, size-1,
				fmt.Sprintf("the leaves do not make the root %s that was signed for %d events", at.Root, at.Size)))
		}
		c.compared++
	}
	return nil
}

func (c *check) problem(kind verify.Kind, place int64, event uuid.UUID, text string) {
	p := verify.Problem{Kind: kind, Line: -1, Index: place, Text: text}
	if event != uuid.Nil {
		p.ID = event.String()
	}
	c.report.Add(p)
}
