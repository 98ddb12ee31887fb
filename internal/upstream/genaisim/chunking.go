package genaisim

const (
	chunkingUnknown      = "CHUNKING_ALGORITHM_UNKNOWN"
	chunkingBySection    = "CHUNKING_ALGORITHM_SECTION_BASED"
	chunkingHierarchical = "CHUNKING_ALGORITHM_HIERARCHICAL"
	chunkingSemantic     = "CHUNKING_ALGORITHM_SEMANTIC"
)

// chunking is how the content of a data source is cut up. Its options are those
// of the algorithm; the others are not set.
type chunking struct {
	Algorithm string          `json:"chunking_algorithm"`
	Options   chunkingOptions `json:"chunking_options"`
}

type chunkingOptions struct {
	Max       int64    `json:"max_chunk_size,omitempty"` // of all algorithms but the hierarchical
	Parent    int64    `json:"parent_chunk_size,omitempty"`
	Child     int64    `json:"child_chunk_size,omitempty"`
	Threshold *float64 `json:"semantic_threshold,omitempty"` // what it points to never changes
}

// defaultChunking has the options that the vendor's examples show, as far as
// the embedding model takes chunks of that size.
func defaultChunking(algorithm string, m *model) chunking {
	switch algorithm {
	case chunkingHierarchical:
		return chunking{algorithm, chunkingOptions{Parent: 1000, Child: min(350, m.chunkMax)}}
	case chunkingSemantic:
		return chunking{algorithm, chunkingOptions{Max: m.chunkDefault, Threshold: new(0.5)}}
	default:
		return chunking{algorithm, chunkingOptions{Max: m.chunkDefault}}
	}
}

// merge returns a chunking with the fields set that are given in an object of
// schema sc. Another algorithm begins with its defaults; options of other
// algorithms are ignored.
func (cut chunking) merge(given fields, sc *schema, m *model) (chunking, *apiError) {
	if wanted, ok := given.text("chunking_algorithm"); ok && wanted != chunkingUnknown && wanted != cut.Algorithm {
		cut = defaultChunking(wanted, m)
	}
	options := given.inner("chunking_options", sc)
	if cut.Algorithm == chunkingHierarchical {
		set(&cut.Options.Parent)(options.integer("parent_chunk_size"))
		set(&cut.Options.Child)(options.integer("child_chunk_size"))
		if cut.Options.Child < 1 || cut.Options.Child > m.chunkMax || cut.Options.Parent <= cut.Options.Child {
			return cut, badRequest("child_chunk_size must be between 1 and %d, and below parent_chunk_size", m.chunkMax)
		}
		return cut, nil
	}
	set(&cut.Options.Max)(options.integer("max_chunk_size"))
	if cut.Options.Max < 1 || cut.Options.Max > m.chunkMax {
		return cut, badRequest("max_chunk_size must be between 1 and %d", m.chunkMax)
	}
	if threshold, ok := options.number("semantic_threshold"); ok && cut.Algorithm == chunkingSemantic {
		if threshold < 0 || threshold > 1 {
			return cut, badRequest("semantic_threshold must be between 0 and 1")
		}
		cut.Options.Threshold = &threshold
	}
	return cut, nil
}
