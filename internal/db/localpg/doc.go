// Package localpg finds or starts a Postgres for tests and for `agentsvc dev`.
//
// It takes the first of these that works:
//
//  1. a URL given by the caller;
//  2. a container, when a Docker engine on this machine answers within a second;
//  3. server binaries on the machine: in PATH, else in the places where
//     distributions put them, newest version first;
//  4. server binaries downloaded once and kept in the user's cache.
//
// The server listens on loopback only and asks for a random password.
//
// # Who owns what
//
// A data directory has one owner at a time: the process that holds the lock in
// it. The lock dies with its process, so whoever gets it may stop a server that
// is still running there: nobody else is using it. On Linux a server of ours does
// not outlive its parent in the first place: the kernel interrupts it (a fast,
// clean shutdown) when the thread that started it ends, and that thread is kept
// for as long as the server runs. Elsewhere the next Start stops it.
//
// # Root
//
// Postgres refuses to run as root. When we are root, the server runs as
// "postgres", "nobody", or the first other account there is, and the cluster
// belongs to that account. If the account cannot reach the directory asked for
// (below /root, say), the cluster is put under /var/tmp instead and the log says
// so; the password stays where it was asked for, and when it is gone from there
// (the directory was deleted to start afresh) so is the cluster's right to exist.
//
// # Durability
//
// Without Options.Fsync the server hands its writes to the operating system and
// does not wait for the disk. Committed data then survives the death of any or
// all processes of the server, but not the death of the machine.
package localpg
