// Package evidence is what proves the history to whoever does not trust our database: the
// signed checkpoint, the keys it is signed with, and the Merkle root computed leaf by leaf.
//
// The tree is that of RFC 6962 and golang.org/x/mod/sumdb/tlog; checkpoints are signed
// notes (golang.org/x/mod/sumdb/note) as transparency logs write them, so that other
// tools can read both. Nothing here knows the database.
package evidence
