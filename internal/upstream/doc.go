// Package upstream is the vendor's client: one executor for every method of the
// API, driven by the method's http rule and its messages' descriptors. There is
// no function per endpoint.
//
// What leaves: [Render] turns a request message into method, path, query and
// JSON body; what is ours stays here. What comes back is checked against the
// response's descriptor: what we do not know is counted as drift and kept, what
// we know but cannot read is an error that names the place.
//
// A failed call says whether it may have had its effect, because a change must
// not be made twice: see [Outcome]. The client itself never sends a change more
// than once and never follows a redirect.
package upstream
