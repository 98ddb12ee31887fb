// Package operation makes the vendor's changes durable: each is a row that outlives
// its caller, the connection and the process, and is made once.
//
//	            submit                claim                     settle
//	request ──────────────▶ QUEUED ──────────▶ RUNNING ──────────────────▶ SUCCEEDED | FAILED
//	                          │ ▲                │  │ ▲
//	                   cancel │ └────────────────┘  └─┘ outcome unknown: looked at again
//	                          ▼   not sent, or
//	                      CANCELLED  certainly without effect
//
// One commit submits: the operation with its sealed secrets and its audit event. One
// commit, just before the request leaves, sets sent_at: before it a crash costs
// nothing, after it the outcome is unknown until the method's declared strategy has
// found out (see reconcile.go). One commit settles: result, audit outcome, mirror,
// routes, versions and ownership.
//
// The database's clock decides leases and retries. A worker that lost its lease
// cannot mark, requeue or settle, because each claim draws the lease anew. An
// operation whose worker died is claimed again when the lease runs out.
//
// Whoever waits for a result is told in the process, or by NOTIFY from another
// replica; both are hints, and a poll of what has ended makes up for those lost.
package operation
