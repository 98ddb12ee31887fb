// Package migrate brings a database's schema to what this binary expects. It is
// the only user of goose; the SQL is in the module's migrations directory and
// embedded.
//
// Several replicas may migrate one database at once: a session advisory lock in
// Postgres lets one work and the others find nothing left to do. A waiting
// replica looks again every second.
package migrate

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/agentsvc/agentsvc/migrations"
)

// How long a replica waits for another one that is migrating.
const lockPeriodSeconds, lockAttempts = 1, 600

// Migration is one step, and whether the database has it.
type Migration struct {
	Version   int64     // the number that the file's name begins with
	Name      string    // the file's name
	Applied   bool      // the database has it
	AppliedAt time.Time // by the database's clock; zero unless Applied
}

// Up applies all migrations that the database at url lacks. Each file is one
// transaction, unless it says otherwise, so an error leaves those before it
// applied.
func Up(ctx context.Context, url string) error { return up(ctx, url, migrations.FS) }

// Down takes back the newest migration that the database has. It does nothing to
// a database that has none. Production goes forward only; this is for
// development.
func Down(ctx context.Context, url string) error { return down(ctx, url, migrations.FS) }

// Status lists this binary's migrations, oldest first.
func Status(ctx context.Context, url string) ([]Migration, error) {
	return status(ctx, url, migrations.FS)
}

// Latest is the version that this binary's migrations lead to. A database that
// is ready for this binary has it, or a later one.
func Latest() int64 { return latest(migrations.FS) }

// Fingerprint is a hash of this binary's migrations, their names and contents, and of what
// the service's role is granted.
func Fingerprint() (string, error) { return fingerprint(migrations.FS) }

// Querier is what [Current] needs: a pool, a connection or a transaction.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Current is the version that the database has, or 0 if it was never migrated.
func Current(ctx context.Context, db Querier) (int64, error) {
	// Asking for the table first keeps a transaction usable if there is none.
	var exists bool
	if err := db.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", goose.DefaultTablename).Scan(&exists); err != nil {
		return 0, fmt.Errorf("looking for the schema version: %w", err)
	}
	if !exists {
		return 0, nil
	}
	var version int64
	err := db.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("reading the schema version: %w", err)
	}
	return version, nil
}

func up(ctx context.Context, url string, files fs.FS) error {
	err := with(url, files, func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	return nil
}

func down(ctx context.Context, url string, files fs.FS) error {
	err := with(url, files, func(p *goose.Provider) error {
		_, err := p.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil // there is nothing to take back
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("taking back a migration: %w", err)
	}
	return nil
}

func status(ctx context.Context, url string, files fs.FS) ([]Migration, error) {
	var all []Migration
	err := with(url, files, func(p *goose.Provider) error {
		found, err := p.Status(ctx)
		for _, m := range found {
			all = append(all, Migration{
				Version: m.Source.Version, Name: m.Source.Path,
				Applied: m.State == goose.StateApplied, AppliedAt: m.AppliedAt,
			})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("asking which migrations the database has: %w", err)
	}
	return all, nil
}

// with calls do with a provider of its own: the lock's retry counter is part of
// it and does not start again.
func with(url string, files fs.FS, do func(*goose.Provider) error) (err error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("reading the database URL: %w", err)
	}
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := newProvider(db, files)
	if err != nil {
		return err
	}
	err = do(provider)
	if failed, ok := errors.AsType[*goose.PartialError](err); ok && failed.Failed != nil {
		err = fmt.Errorf("%s: %w", failed.Failed.Source.Path, err) // which it does not say
	}
	return err
}

func newProvider(db *sql.DB, files fs.FS) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(lockPeriodSeconds, lockAttempts))
	if err != nil {
		return nil, fmt.Errorf("preparing the lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("reading the migrations: %w", err)
	}
	return provider, nil
}

func latest(files fs.FS) int64 {
	names, _ := fs.Glob(files, "*.sql") // the pattern is right
	var newest int64
	for _, name := range names {
		if version, err := goose.NumericComponent(name); err == nil { // Up refuses a name without a number
			newest = max(newest, version)
		}
	}
	return newest
}

func fingerprint(files fs.FS) (string, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return "", fmt.Errorf("listing the migrations: %w", err)
	}
	slices.Sort(names)
	hash := sha256.New()
	hash.Write([]byte(grants)) // a database that is cloned for tests has them too
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return "", fmt.Errorf("reading a migration: %w", err)
		}
		fmt.Fprintf(hash, "%s %d\n", name, len(b))
		hash.Write(b)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
