package ledger

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

const (
	// tierHeight is how many levels of the tree one stored tier is above the one before.
	tierHeight = 8
	// fanOut is how many hashes of a tier have one above them.
	fanOut = 1 << tierHeight
)

// node is the root of a full subtree, to be stored.
type node struct {
	tier int16
	n    int64
	hash tlog.Hash
}

// hashReader reads the tree from the database: stored are the leaves and every eighth
// level above them; what is between is computed. It keeps what it has read, so it is for
// one question at one size.
func hashReader(ctx context.Context, q *db.Queries) tlog.HashReader {
	type block struct {
		tier int
		n    int64
	}
	read := map[block][]tlog.Hash{}
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, 0, len(indexes))
		for _, index := range indexes {
			level, n := tlog.SplitStoredHashIndex(index)
			tier, within := level/tierHeight, level%tierHeight
			first, count := n<<within, int64(1)<<within
			at := block{tier, first / fanOut}
			if _, ok := read[at]; !ok {
				var err error
				if read[at], err = stored(ctx, q, tier, at.n*fanOut, (at.n+1)*fanOut); err != nil {
					return nil, err
				}
			}
			from := first % fanOut
			if int64(len(read[at])) < from+count {
				return nil, fmt.Errorf("the log is damaged: it ends before place %d of tier %d", first+count-1, tier)
			}
			hashes = append(hashes, rootOf(read[at][from:from+count]))
		}
		return hashes, nil
	})
}

// stored reads hashes of a tier: the leaves for 0. There may be fewer than asked for, but
// none may be missing in between.
func stored(ctx context.Context, q *db.Queries, tier int, first, beyond int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, 0, beyond-first)
	add := func(n int64, hash []byte) error {
		if n != first+int64(len(hashes)) {
			return fmt.Errorf("the log is damaged: place %d of tier %d is missing", first+int64(len(hashes)), tier)
		}
		hashes = append(hashes, tlog.Hash(hash))
		return nil
	}
	if tier == 0 {
		rows, err := q.LeafHashes(ctx, dbsql.LeafHashesParams{First: first, Beyond: beyond})
		if err != nil {
			return nil, fmt.Errorf("reading leaves of the log: %w", err)
		}
		for _, row := range rows {
			if err := add(row.Index, row.Hash); err != nil {
				return nil, err
			}
		}
		return hashes, nil
	}
	rows, err := q.NodeHashes(ctx, dbsql.NodeHashesParams{Level: int16(tier), First: first, Beyond: beyond})
	if err != nil {
		return nil, fmt.Errorf("reading nodes of the log: %w", err)
	}
	for _, row := range rows {
		if err := add(row.N, row.Hash); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// rootOf is the root above hashes, of which there must be a power of two. They stay as
// they are.
func rootOf(hashes []tlog.Hash) tlog.Hash {
	level := append([]tlog.Hash(nil), hashes...)
	for ; len(level) > 1; level = level[:len(level)/2] {
		for i := range len(level) / 2 {
			level[i] = tlog.NodeHash(level[2*i], level[2*i+1])
		}
	}
	return level[0]
}

// grow is the nodes that leaves complete when they are added to a log of that size.
func grow(ctx context.Context, q *db.Queries, size int64, leaves []tlog.Hash) ([]node, error) {
	var nodes []node
	for tier := 0; len(leaves) > 0; tier++ {
		first := size / fanOut * fanOut
		if (size+int64(len(leaves)))/fanOut == size/fanOut {
			return nodes, nil // no block becomes full
		}
		all, err := stored(ctx, q, tier, first, size)
		if err != nil {
			return nil, err
		}
		if first+int64(len(all)) != size {
			return nil, fmt.Errorf("the log is damaged: tier %d ends at %d, not at %d", tier, first+int64(len(all)), size)
		}
		all = append(all, leaves...)
		leaves = nil
		for ; len(all) >= fanOut; all = all[fanOut:] {
			leaves = append(leaves, rootOf(all[:fanOut]))
		}
		size = first / fanOut
		for i, hash := range leaves {
			nodes = append(nodes, node{tier: int16(tier + 1), n: size + int64(i), hash: hash})
		}
	}
	return nodes, nil
}
