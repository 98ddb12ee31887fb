package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

func (l *life) secret(t *testing.T) {
	d := l.d
	for _, token := range []string{"dev-payments-owner", "dev-auditor", "dev-admin"} {
		c := d.as(t, token)
		keys, err := c.keys.ListAgentApiKeys(t.Context(), &pb.ListAgentApiKeysRequest{AgentUuid: l.agent})
		if err != nil || len(keys.GetApiKeyInfos()) == 0 {
			t.Fatalf("listing the keys: %v, %v", keys, err)
		}
		operation, err := c.operations.GetOperation(t.Context(), &pb.GetOperationRequest{Id: l.operations["the shop calls it"]})
		if err != nil {
			t.Fatal(err)
		}
		agent, err := c.agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: l.agent})
		if err != nil {
			t.Fatal(err)
		}
		l.wantNone(t, "what "+token+" is shown", keys.String()+operation.String()+agent.String()+asJSON(l.events(t, c)))
	}
	text, tables, rows := dump(t, l.server)
	l.wantNone(t, "the database", text)
	if !strings.Contains(text, l.agent) || !strings.Contains(text, l.key) {
		t.Error("the agent and its key are not in the database's dump: it was not a whole one")
	}
	l.wantNone(t, "the log", d.String())
	t.Logf("looked for %d secrets in %d rows of %d tables and in %d bytes of log", len(l.secrets), rows, tables, len(d.String()))
}

// wantNone checks that no secret is in a text, in whatever way it may be written there.
func (l *life) wantNone(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range l.secrets {
		for form, written := range map[string]string{
			"as it is": secret, "in hexadecimal": hex.EncodeToString([]byte(secret)), "in base64": base64.StdEncoding.EncodeToString([]byte(secret)),
		} {
			if strings.Contains(text, written) {
				t.Errorf("a secret is in %s, %s", where, form)
			}
		}
	}
}

// dump is every row of every table of the first look's database, as text.
func dump(t *testing.T, server string) (text string, tables, rows int) {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/agentsvc_dev"
	conn, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }() // nothing was written
	found, err := conn.Query(t.Context(), `SELECT c.oid::regclass::text FROM pg_class c
		WHERE c.relkind IN ('r', 'm') AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
		AND c.relnamespace::regnamespace::text !~ '^pg_' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range names {
		lines, err := conn.Query(t.Context(), "SELECT row::text FROM "+name+" row")
		if err != nil {
			t.Fatalf("reading %s: %v", name, err)
		}
		texts, err := pgx.CollectRows(lines, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("reading %s: %v", name, err)
		}
		rows += len(texts)
		all.WriteString(strings.Join(texts, "\n"))
	}
	return all.String(), len(names), rows
}
