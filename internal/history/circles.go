package history

import (
	"slices"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// maxCircles bounds how many circles of a graph are told: there can be very many.
const maxCircles = 100

// circles are ways that come back to where they began, and the routes that close them.
type circles struct {
	found   [][]uuid.UUID
	closing map[[2]uuid.UUID]bool
}

// circlesOf goes through a graph depth first, from its first agent on, and finds a circle
// wherever it comes back to an agent on its way. Edges are ordered, so that the same graph
// has the same circles.
func circlesOf(edges []dbsql.RouteEdgesFromRow, order map[uuid.UUID]int) circles {
	c := circles{closing: map[[2]uuid.UUID]bool{}}
	next := map[uuid.UUID][]uuid.UUID{}
	for _, edge := range edges {
		next[edge.Parent] = append(next[edge.Parent], edge.Child)
	}
	starts := make([]uuid.UUID, len(order))
	for id, place := range order {
		starts[place] = id
	}
	done := map[uuid.UUID]bool{}
	for _, start := range starts {
		c.visit(start, next, done, nil)
	}
	return c
}

// visit goes on from an agent, to which way leads.
func (c *circles) visit(at uuid.UUID, next map[uuid.UUID][]uuid.UUID, done map[uuid.UUID]bool, way []uuid.UUID) {
	if done[at] {
		return
	}
	way = append(way, at)
	for _, child := range next[at] {
		if i := slices.Index(way, child); i >= 0 {
			c.closing[[2]uuid.UUID{at, child}] = true
			if len(c.found) < maxCircles {
				c.found = append(c.found, slices.Clone(way[i:]))
			}
			continue
		}
		c.visit(child, next, done, way)
	}
	done[at] = true
}
