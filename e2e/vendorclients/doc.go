// Package vendorclients drives the simulator with the vendor's own client, which knows
// nothing of us: what it sends is taken and what it is answered it can read. It is a
// module of its own, so that the client is no dependency of the service.
package vendorclients
