// Package upstream is the vendor's client: one executor for every method of the
// API, driven by the method's http rule and its messages' descriptors. There is
// no function per endpoint.
//
// What leaves: [Render] turns a request message into method, path, query and
// JSON body; what is ours stays here. What comes back is read in one pass, by the
// response's descriptor. What is not as the descriptor says is drift: it is counted
// and logged by its kind and its path, never by its value, and it is kept in the
// vendor_extra of the nearest message around it that has one. That goes for what we do
// not know and for what we know but cannot read, which is absent from the message while
// all else arrives. Only an answer that is no JSON object, or too large or too deep a
// one, is an error.
//
// What a secret field holds is never kept outside of it, and what may be a secret by its
// name or its place only as "[redacted]".
//
// A failed call says whether it may have had its effect, because a change must
// not be made twice: see [Outcome]. The client itself never sends a change more
// than once and never follows a redirect.
package upstream
