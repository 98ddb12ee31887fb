// Package ledger is the sealed log of the history: it gives each event a place in a
// Merkle tree, signs checkpoints of the tree, proves to auditors what is in it, and
// compares the database with it.
//
// One replica seals at a time, by a lock of the database, in the background: what a change
// costs does not depend on it. It takes the events that have no place yet, in the order of
// (recorded_at, id), a bounded group a transaction. An event's place is a row beside it,
// as events are never updated.
//
// # Late events
//
// An event is dated when it is written and visible when its transaction commits, which can
// be after younger ones were sealed. So each pass looks [lookBack] behind the youngest sealed
// event. A transaction of ours takes milliseconds, and one that waits for a frozen
// database or a stopped process some seconds; a minute covers them and is cheap to search.
// What comes later still is found by a sweep of the last [sweepBack], which is logged, since
// nothing of ours should take so long; what is older than that, or was written behind our
// back, by the check. Being late costs an event nothing but its place in the order.
//
// # Crashes
//
// A group is one transaction: a sealer that dies has sealed all of it or nothing. The next
// one goes on after the last place, whoever took it. A checkpoint is signed after what it
// covers is durable.
package ledger
