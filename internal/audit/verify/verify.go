package verify

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/agentsvc/agentsvc/internal/audit/evidence"
)

// Options say what an export is held against.
type Options struct {
	// Checkpoints are all that are known, verified and in any order. The export is held
	// against the one with the most events, and that against all others.
	Checkpoints []evidence.Checkpoint
	// Leaves are the hashes of all events, 32 bytes each. Nil: there are none.
	Leaves io.ReaderAt
	// First is the first place of the export: events before it were dropped by
	// retention. More than 0 needs leaves.
	First int64
	// Filtered exports hold a part of the events. That needs leaves.
	Filtered bool

	// pending is how many leaves may wait for one that comes before them; 0: [maxPending].
	pending int
}

// maxPending bounds the leaves that wait for one that comes before them.
const maxPending = 1 << 20

// checker is one pass over an export.
type checker struct {
	options     Options
	checkpoints []evidence.Checkpoint // by size
	size        int64
	report      *Report
	leaves      *leafFile

	line int64
	seen []uint64 // a bit for each place under the checkpoint

	// Lines ascend by place, or by time and id, or both.
	previous         int64
	previousKey      key
	byPlace, byTime  bool
	reorderedAlready bool

	// The root of what is in the export, without leaves.
	tree    evidence.Range
	pending map[int64]tlog.Hash // beyond the first hole
	rooted  int                 // checkpoints that were compared
	gaveUp  bool
}

// Export reads an export to its end and reports what is wrong with it. The error is about
// reading, or about options that do not go together.
func Export(r io.Reader, options Options) (*Report, error) {
	c := &checker{options: options, checkpoints: slices.Clone(options.Checkpoints), report: &Report{}, previous: nowhere, byPlace: true, byTime: true}
	c.options.pending = cmp.Or(options.pending, maxPending)
	if len(c.checkpoints) == 0 {
		return nil, errors.New("there is no checkpoint to hold the export against")
	}
	slices.SortStableFunc(c.checkpoints, func(a, b evidence.Checkpoint) int { return int(min(1, max(-1, a.Size-b.Size))) })
	newest := c.checkpoints[len(c.checkpoints)-1]
	c.report.Checkpoint, c.size = newest, newest.Size
	if options.Leaves == nil && (options.Filtered || options.First > 0) {
		return nil, errors.New("a part of the history can be held against a checkpoint only with the leaf hashes of all of it")
	}
	if c.forked() {
		return c.report, nil
	}
	if options.Leaves != nil {
		c.report.ByLeaves = true
		c.leaves = &leafFile{file: options.Leaves}
		if err := c.leaves.bind(c.checkpoints, c.report); err != nil {
			return nil, err
		}
	}
	c.seen = make([]uint64, c.size/64+1)
	c.pending = map[int64]tlog.Hash{}
	in := newLines(r)
	for {
		text, err := in.next()
		if err != nil {
			return nil, fmt.Errorf("reading the export: %w", err)
		}
		if text == nil {
			break
		}
		c.line++
		if err := c.take(parse(text)); err != nil {
			return nil, err
		}
	}
	c.finish()
	return c.report, nil
}

// forked finds checkpoints that cannot be of one log whatever the export holds.
func (c *checker) forked() bool {
	for i, b := range c.checkpoints[1:] {
		a := c.checkpoints[i]
		if a.Origin != b.Origin {
			c.report.Add(Problem{Kind: Forked, Line: nowhere, Index: nowhere, Text: fmt.Sprintf(
				"the checkpoints are of two logs, %s and %s", a.Origin, b.Origin)})
			return true
		}
		if a.Size == b.Size && a.Root != b.Root {
			c.report.Add(Problem{Kind: Forked, Line: nowhere, Index: nowhere, Text: fmt.Sprintf(
				"two checkpoints of %d events were signed, with the roots %s and %s: each is a history of its own", a.Size, a.Root, b.Root)})
			return true
		}
	}
	return false
}

// take takes a line in.
func (c *checker) take(l line) error {
	switch l.kind {
	case unsealedLine:
		c.report.Unsealed++
		return nil
	case otherLine:
		c.report.Other++
		return nil
	case badLine:
		c.report.Add(Problem{Kind: Malformed, Line: c.line, Index: l.index, Text: "this is not a whole line of an export"})
		return nil
	case sealedLine:
	}
	c.order(&l)
	if l.index >= c.size {
		c.report.Beyond++
		return nil
	}
	if c.seen[l.index/64]>>(l.index%64)&1 == 1 {
		c.report.Add(Problem{Kind: Doubled, Line: c.line, Index: l.index, ID: l.id(), Text: "this place was there before"})
		return nil
	}
	c.seen[l.index/64] |= 1 << (l.index % 64)
	c.report.Checked++
	if c.leaves == nil {
		c.grow(l.index, l.leaf)
		return nil
	}
	if l.index >= c.leaves.trusted {
		return nil // reported already; nothing can be said of this event
	}
	want, err := c.leaves.at(l.index)
	if err != nil {
		return err
	}
	if l.leaf != want {
		c.report.Add(Problem{Kind: Changed, Line: c.line, Index: l.index, ID: l.id(), Text: fmt.Sprintf(
			"the event hashes to %s, and %s was sealed at this place", l.leaf, want)})
	}
	return nil
}

// order holds the line against the one before it.
func (c *checker) order(l *line) {
	k := l.key()
	if c.previous != nowhere {
		c.byPlace = c.byPlace && l.index > c.previous
		c.byTime = c.byTime && bytes.Compare(k[:], c.previousKey[:]) > 0
	}
	if !c.byPlace && !c.byTime && !c.reorderedAlready {
		c.reorderedAlready = true
		c.report.Add(Problem{Kind: Reordered, Line: c.line, Index: l.index, ID: l.id(), Text: fmt.Sprintf(
			"it stands behind place %d, and neither by place nor by time it belongs there", c.previous)})
	}
	c.previous, c.previousKey = l.index, k
}

// grow adds a leaf to the tree, or keeps it until those before it are there.
func (c *checker) grow(index int64, leaf tlog.Hash) {
	switch {
	case c.gaveUp:
		return
	case index > c.tree.Size():
		if c.pending[index] = leaf; len(c.pending) > c.options.pending {
			c.gaveUp, c.pending = true, nil
		}
		return
	}
	for ok := true; ok; leaf, ok = c.pending[c.tree.Size()] {
		delete(c.pending, c.tree.Size())
		c.tree.Add(leaf)
		c.compareRoot()
	}
}

// compareRoot compares the root with every checkpoint of this size.
func (c *checker) compareRoot() {
	for c.rooted < len(c.checkpoints) && c.checkpoints[c.rooted].Size <= c.tree.Size() {
		at := c.checkpoints[c.rooted]
		if at.Size == c.tree.Size() && at.Root != c.tree.Root() {
			good := int64(0)
			if c.rooted > 0 {
				good = c.checkpoints[c.rooted-1].Size
			}
			c.report.Add(Stretch(Changed, good, at.Size-1, fmt.Sprintf(
				"the events do not make the root that was signed for %d of them, and the leaf hashes (see --leaves) would name the first bad one", at.Size)))
			c.gaveUp = true // all later roots are wrong with it
			return
		}
		c.rooted++
	}
}

// finish reports what only the end shows.
func (c *checker) finish() {
	if c.options.Filtered {
		return
	}
	// Behind the last place that is there, all is cut off; holes before it are missing events.
	last := int64(nowhere)
	for i := c.size - 1; i >= c.options.First; i-- {
		if c.there(i) {
			last = i
			break
		}
	}
	for i := c.options.First; i < last; i++ {
		if !c.there(i) {
			c.report.Add(Problem{Kind: Missing, Line: nowhere, Index: i, Text: "this event is not in the export; if it was made with a filter, say so"})
		}
	}
	if last < c.size-1 {
		from := max(last+1, c.options.First)
		c.report.Add(Problem{Kind: Cut, Line: nowhere, Index: from, Text: fmt.Sprintf(
			"the export ends before this event, and the checkpoint covers %d; if the export is older than the checkpoint, hold it against one of its "+
				"time (see --size)", c.size)})
	}
	c.compared()
}

// compared reports what nothing was held against: without leaves only roots tell, and they
// cannot be made of events that stand too far from their places.
func (c *checker) compared() {
	if c.size == 0 || c.leaves != nil || c.rooted == len(c.checkpoints) || c.report.Found > 0 {
		return
	}
	c.report.Add(Stretch(Reordered, c.tree.Size(), c.size-1, fmt.Sprintf(
		"more than %d events stand before one that belongs before them, so they were held against nothing; order the export by place, or give "+
			"the leaf hashes (see --leaves)", c.options.pending)))
}

func (c *checker) there(index int64) bool { return c.seen[index/64]>>(index%64)&1 == 1 }
