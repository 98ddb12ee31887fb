package audit

import "time"

// SetStall has exports wait less for whoever takes them.
func (r *Reader) SetStall(d time.Duration) { r.stall = d }
