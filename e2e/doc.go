// Package e2e holds the tests of the whole: the real binary on a real Postgres,
// with a simulated vendor that drops, delays and refuses on demand, and with
// processes that are killed at the worst moment.
//
// They look at effects alone: what the vendor's log says was changed, which rows
// there are, and what the caller was told. Everything listens on loopback, on ports
// that the system chooses.
//
//	go test ./e2e                       all of it, in about two minutes
//	go test ./e2e -run Kill -v          what a kill -9 does, with figures
//	CHAOS=long go test ./e2e -run Chaos -v    everything fails, for minutes: make chaos
package e2e
