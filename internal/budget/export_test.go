package budget

import "math"

// Waiting is how many reads of this process wait for a call.
func (b *Budget) Waiting() int { return len(b.readers.first(math.MaxInt)) }
