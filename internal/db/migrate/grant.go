package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// grants are what the service's role may do. It owns nothing, and of the history's tables it
// may add rows and read them. @role and @schema are quoted names.
//
// What comes first gives all that an ordinary table needs, to tables that later migrations
// add as well; what follows takes back what evidence must not allow. One transaction, so
// that nobody sees the former without the latter.
const grants = `
GRANT USAGE ON SCHEMA @schema TO @role;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA @schema TO @role;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA @schema TO @role;
REVOKE ALL ON goose_db_version, audit_events, audit_leaves, audit_nodes, audit_checkpoints, audit_sinks, audit_holds FROM @role;
GRANT SELECT ON goose_db_version, audit_holds TO @role;
GRANT SELECT, INSERT ON audit_events, audit_leaves, audit_nodes, audit_checkpoints TO @role;
GRANT SELECT, INSERT, UPDATE ON audit_sinks TO @role;
REVOKE EXECUTE ON FUNCTION audit_drop_month(date) FROM @role;
GRANT EXECUTE ON FUNCTION audit_ensure_partitions(integer) TO @role;
`

// Grant gives a role what the service needs and no more. The role is made, without the right
// to log in, if there is none of that name. It must neither be a superuser nor own the
// history, nor be a member of who does: grants would mean nothing.
func Grant(ctx context.Context, url, role string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connecting to the database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }() // it has done its work
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return grant(ctx, tx, role) })
	if err != nil {
		return fmt.Errorf("giving the role %q its rights: %w", role, err)
	}
	return nil
}

func grant(ctx context.Context, tx pgx.Tx, role string) error {
	// Roles are the whole server's, so this lock is of no database. Another one may make the
	// role between our look and our making it.
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('agentsvc grant'))"); err != nil {
		return err
	}
	quoted := pgx.Identifier{role}.Sanitize()
	const makeRole = `DO $$ BEGIN CREATE ROLE @role NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`
	var exists bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		if strings.Contains(quoted, "$$") {
			return errors.New("such a name is not taken")
		}
		if _, err := tx.Exec(ctx, strings.Replace(makeRole, "@role", quoted, 1)); err != nil {
			return err
		}
	}
	var mighty bool
	var schema string
	if err := tx.QueryRow(ctx, `
		SELECT r.rolsuper OR pg_has_role(r.oid, c.relowner, 'MEMBER'), c.relnamespace::regnamespace::text
		  FROM pg_roles r, pg_class c WHERE r.rolname = $1 AND c.oid = 'audit_events'::regclass`, role).Scan(&mighty, &schema); err != nil {
		return err
	}
	if mighty {
		return errors.New("it is a superuser, or owns the history, or is a member of a role that does: rights would not bind it")
	}
	if _, err := tx.Exec(ctx, strings.NewReplacer("@schema", schema, "@role", quoted).Replace(grants)); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_events'::regclass")
	if err != nil {
		return err
	}
	partitions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, partition := range partitions { // regclass quotes it
		if _, err := tx.Exec(ctx, "REVOKE ALL ON "+partition+" FROM "+quoted); err != nil {
			return err
		}
	}
	return nil
}
