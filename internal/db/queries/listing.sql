-- name: NoteResource :exec
-- A row for a resource that nobody told us of; one that is there stays as it is. It
-- waits for whoever is making the same row.
INSERT INTO resources (kind, uuid, account) VALUES (@kind, @uuid, @account) ON CONFLICT (kind, uuid) DO NOTHING;
