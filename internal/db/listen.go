package db

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Notify tells all who [Store.Listen] on the channel. It is a hint, sent outside of
// the transaction it tells about: a NOTIFY inside would make all commits wait for
// one another, and whoever listens looks by itself from time to time anyway.
func (s *Store) Notify(ctx context.Context, channel, payload string) error {
	if _, err := s.pool.Exec(ctx, "SELECT pg_notify($1, $2)", channel, payload); err != nil {
		return classify(fmt.Errorf("notifying %s: %w", channel, err))
	}
	return nil
}

// Listen calls heard for each payload sent to the channel, until ctx is done or the
// connection breaks. Its connection is one more than those of the pool.
func (s *Store) Listen(ctx context.Context, channel string, heard func(payload string)) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return classify(fmt.Errorf("connecting to listen: %w", err))
	}
	// A connection that listens must not go back to the pool.
	raw := conn.Hijack()
	defer func() {
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = raw.Close(detached)
	}()
	if _, err := raw.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return classify(fmt.Errorf("listening to %s: %w", channel, err))
	}
	for {
		n, err := raw.WaitForNotification(ctx)
		if err != nil {
			return classify(fmt.Errorf("waiting for %s: %w", channel, err))
		}
		heard(n.Payload)
	}
}
