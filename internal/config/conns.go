package config

const (
	// connsPerAccount is how many connections the work for one vendor account may hold for long: for
	// the sync, and for two lists being gone through; and one for what they do meanwhile.
	connsPerAccount = 4
	// fewExports and manyExports bound how many exports there may be at once.
	fewExports, manyExports = 2, 6
	// connsBesides is what is left, whatever is held for long, to all others together.
	connsBesides = 2
)

// Exports is how many exports of the history may be under way, each of which holds a connection for
// as long as it takes: with a quarter of the connections.
func (c Config) Exports() int { return exportsWith(c.DatabaseConns) }

func exportsWith(conns int) int { return min(max(conns/4, fewExports), manyExports) }

// ConnsFor is how many connections there must be for so many vendor accounts, so that callers are
// served however many of them are held by the work for accounts and by exports.
func ConnsFor(accounts int) int {
	conns := 0
	for conns < connsPerAccount*accounts+exportsWith(conns)+connsBesides {
		conns++
	}
	return conns
}
