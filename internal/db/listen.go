package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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
	return s.listen(ctx, channel, 0, func() {}, heard)
}

// aliveEvery is how long a connection that listens is quiet before it is asked whether it
// still is one, and how long it may take to answer.
const aliveEvery = time.Second

// ListenAlive is [Store.Listen] for those who must not miss anything: began is called once
// it listens, and a connection that is broken without having said so counts as broken
// within two seconds.
func (s *Store) ListenAlive(ctx context.Context, channel string, began func(), heard func(payload string)) error {
	return s.listen(ctx, channel, aliveEvery, began, heard)
}

func (s *Store) listen(ctx context.Context, channel string, alive time.Duration, began func(), heard func(payload string)) error {
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
	began()
	for {
		n, err := waitAlive(ctx, raw, alive)
		if err != nil {
			return classify(fmt.Errorf("waiting for %s: %w", channel, err))
		}
		heard(n.Payload)
	}
}

// waitAlive waits for a notification. Each time that none came for so long, it asks the
// connection whether it is alive; never for 0.
func waitAlive(ctx context.Context, conn *pgx.Conn, alive time.Duration) (*pgconn.Notification, error) {
	if alive == 0 {
		return conn.WaitForNotification(ctx)
	}
	for {
		quiet, cancel := context.WithTimeout(ctx, alive)
		n, err := conn.WaitForNotification(quiet)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) || conn.IsClosed() {
			return n, err
		}
		asked, cancel := context.WithTimeout(ctx, alive)
		err = conn.Ping(asked)
		cancel()
		if err != nil {
			return nil, err
		}
	}
}
