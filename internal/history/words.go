package history

import (
	"slices"
	"strings"
	"unicode"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// maxEdits bounds how different two texts may be, in words taken out and put in, for their
// differences to be looked for: the work and the memory rise with its square. Of texts that
// differ more, all between what they begin and end with is replaced.
const maxEdits = 1500

// compareWords tells how a text became another, word by word. The pieces that are not added
// make the text before, those that are not removed the text after, to the byte.
func compareWords(before, after string) []*pb.WordsChange {
	a, b := split(before), split(after)
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var w wording
	w.add(pb.WordsChange_KIND_KEPT, a[:head]...)
	w.middle(a[head:len(a)-tail], b[head:len(b)-tail])
	w.add(pb.WordsChange_KIND_KEPT, a[len(a)-tail:]...)
	return w.flush()
}

// split cuts a text into words, each with the spaces that follow it.
func split(text string) []string {
	var words []string
	start, spaces := 0, false
	for i, r := range text {
		if is := unicode.IsSpace(r); spaces && !is {
			words = append(words, text[start:i])
			start, spaces = i, false
		} else if is {
			spaces = true
		}
	}
	if start < len(text) {
		words = append(words, text[start:])
	}
	return words
}

// wording collects pieces. What is removed comes before what is added in its place.
type wording struct {
	pieces         []*pb.WordsChange
	removed, added strings.Builder
}

func (w *wording) add(kind pb.WordsChange_Kind, words ...string) {
	text := strings.Join(words, "")
	switch {
	case text == "":
	case kind == pb.WordsChange_KIND_REMOVED:
		w.removed.WriteString(text)
	case kind == pb.WordsChange_KIND_ADDED:
		w.added.WriteString(text)
	default:
		w.flush()
		w.piece(kind, text)
	}
}

func (w *wording) piece(kind pb.WordsChange_Kind, text string) {
	if n := len(w.pieces); n > 0 && w.pieces[n-1].GetKind() == kind {
		w.pieces[n-1].Text += text
		return
	}
	w.pieces = append(w.pieces, &pb.WordsChange{Kind: kind, Text: text})
}

func (w *wording) flush() []*pb.WordsChange {
	if w.removed.Len() > 0 {
		w.piece(pb.WordsChange_KIND_REMOVED, w.removed.String())
		w.removed.Reset()
	}
	if w.added.Len() > 0 {
		w.piece(pb.WordsChange_KIND_ADDED, w.added.String())
		w.added.Reset()
	}
	return w.pieces
}

// middle finds the least edits between two lists of words that begin and end differently,
// after Myers, "An O(ND) Difference Algorithm and Its Variations" (1986): the furthest that
// can be come with d edits on each diagonal, for d = 0, 1, 2 and so on, and then the way back.
func (w *wording) middle(a, b []string) {
	most := min(len(a)+len(b), maxEdits)
	var trail [][]int
	reach := make([]int, 2*most+2) // by diagonal, from -most on
	for d := 0; d <= most; d++ {
		trail = append(trail, append([]int(nil), reach[most-d:most+d+1]...))
		for k := -d; k <= d; k += 2 {
			x := 0
			switch {
			case d == 0:
			case k == -d || k != d && reach[most+k-1] < reach[most+k+1]:
				x = reach[most+k+1]
			default:
				x = reach[most+k-1] + 1
			}
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			reach[most+k] = x
			if x >= len(a) && x-k >= len(b) {
				w.walk(a, b, trail)
				return
			}
		}
	}
	w.add(pb.WordsChange_KIND_REMOVED, a...)
	w.add(pb.WordsChange_KIND_ADDED, b...)
}

// walk goes back from the end along the trail, and adds the words in their order.
func (w *wording) walk(a, b []string, trail [][]int) {
	type step struct {
		kind pb.WordsChange_Kind
		word string
	}
	var steps []step
	x, y := len(a), len(b)
	for d := len(trail) - 1; d > 0; d-- {
		// trail[d] is as it was before d edits: diagonals -d to d, of which those from -d+1 to d-1 are set.
		at := func(k int) int { return trail[d][k+d] }
		k := x - y
		before := k - 1
		if k == -d || k != d && at(k-1) < at(k+1) {
			before = k + 1
		}
		toX := at(before)
		toY := toX - before
		for x > toX && y > toY {
			x, y = x-1, y-1
			steps = append(steps, step{pb.WordsChange_KIND_KEPT, a[x]})
		}
		if x == toX {
			y--
			steps = append(steps, step{pb.WordsChange_KIND_ADDED, b[y]})
		} else {
			x--
			steps = append(steps, step{pb.WordsChange_KIND_REMOVED, a[x]})
		}
	}
	for x > 0 {
		x--
		steps = append(steps, step{pb.WordsChange_KIND_KEPT, a[x]})
	}
	for _, s := range slices.Backward(steps) {
		w.add(s.kind, s.word)
	}
}
