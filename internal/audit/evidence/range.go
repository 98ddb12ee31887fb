package evidence

import (
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Range is a growing tree of which only the roots of its full subtrees are kept: enough
// to know its root at every size, in memory that does not grow. The zero value is empty.
type Range struct {
	size int64
	full [63]tlog.Hash // full[i] is valid if bit i of size is set
}

// Size is how many leaves there are.
func (r *Range) Size() int64 { return r.size }

// Add appends a leaf.
func (r *Range) Add(leaf tlog.Hash) {
	level := bits.TrailingZeros64(^uint64(r.size)) // as many subtrees become one
	for i := range level {
		leaf = tlog.NodeHash(r.full[i], leaf)
	}
	r.full[level] = leaf
	r.size++
}

// Root is the tree's root. That of the empty tree is the hash of nothing.
func (r *Range) Root() tlog.Hash {
	if r.size == 0 {
		return EmptyRoot()
	}
	level := bits.TrailingZeros64(uint64(r.size))
	root := r.full[level]
	for i := level + 1; i < bits.Len64(uint64(r.size)); i++ {
		if r.size>>i&1 == 1 {
			root = tlog.NodeHash(r.full[i], root)
		}
	}
	return root
}

// EmptyRoot is the root of a tree without leaves.
func EmptyRoot() tlog.Hash {
	root, _ := tlog.TreeHash(0, nil) // reads nothing
	return root
}
