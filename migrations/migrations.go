// Package migrations holds the schema: goose SQL files, applied in order by
// "agentsvc migrate up". In production they only go forward, and each is right
// with the binary before it (expand first, contract a release later).
package migrations

import "embed"

// FS holds the SQL files.
//
//go:embed *.sql
var FS embed.FS
