package verify

// Pending is the options with another bound on the leaves that wait for one before them.
func (o Options) Pending(most int) Options {
	o.pending = most
	return o
}
