package e2e_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"connectrpc.com/connect"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/seal"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// world is what the service needs around it: a database, a vendor, keys.
type world struct {
	database string
	rows     *pgxpool.Pool // our own look at the database
	vendor   *vendor
	keys     string
	// payments and search are tokens of services that own those teams.
	payments, search string
}

// newWorld is a world with a database of its own and a vendor without limits.
func newWorld(t *testing.T) *world {
	t.Helper()
	return worldOn(t, dbtest.NewURL(t))
}

// worldOn is a world on a database that has the schema.
func worldOn(t *testing.T, database string) *world {
	t.Helper()
	w := &world{database: database, vendor: newVendor(t, genaisim.Config{}), keys: filepath.Join(t.TempDir(), "seal.keys")}
	key, err := seal.NewKey("e2e")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.keys, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	if w.rows, err = pgxpool.New(context.Background(), database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.rows.Close)
	w.payments, w.search = w.token(t, "payments"), w.token(t, "search")
	return w
}

// token is that of a service that owns a team, made as an operator would.
func (w *world) token(t *testing.T, team string) string {
	t.Helper()
	return run(t, environment("DATABASE_URL="+w.database),
		"token", "create", "--name", team+"-bot", "--team", team, "--role", "owner", "--create-team", "--reason", "end-to-end tests")
}

// count is the one number that a query answers.
func (w *world) count(t *testing.T, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := w.rows.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// column is the one column that a query answers.
func column[T any](t *testing.T, w *world, sql string, args ...any) []T {
	t.Helper()
	rows, err := w.rows.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return values
}

// service is a running "agentsvc serve", or "agentsvc dev".
type service struct {
	*process

	url string
}

var servingAt = regexp.MustCompile(`"msg":"serving","address":"([^"]+)"`)

// serve starts a replica and returns once it takes calls. env adds to its
// configuration, which knows no limits and does not compare with the vendor while
// the test runs. It owns nothing in the database.
func (w *world) serve(t *testing.T, env ...string) *service {
	t.Helper()
	s := &service{process: start(t, environment(append([]string{
		"DATABASE_URL=" + dbtest.AsApp(w.database), "DIGITALOCEAN_TOKEN=vendor-token", "AGENTSVC_UPSTREAM_URL=" + w.vendor.url,
		"AGENTSVC_LISTEN=127.0.0.1:0", "AGENTSVC_SEAL_KEYS_FILE=" + w.keys, "AGENTSVC_SYNC_EVERY=1h", "AGENTSVC_LEASE=2s",
		"AGENTSVC_RATE_PER_MINUTE=1000000", "AGENTSVC_RATE_PER_HOUR=1000000",
	}, env...)...), "serve")}
	await(t, "agentsvc serve takes calls", func() bool {
		if !s.running() {
			t.Fatalf("agentsvc serve has ended")
		}
		found := servingAt.FindStringSubmatch(s.String())
		if found != nil {
			s.url = "http://" + found[1]
		}
		return found != nil
	})
	return s
}

// client calls a service with a token.
type client struct {
	agents     agentsvcv1connect.AgentServiceClient
	routes     agentsvcv1connect.AgentRouteServiceClient
	keys       agentsvcv1connect.AgentKeyServiceClient
	operations agentsvcv1connect.OperationServiceClient
	audit      agentsvcv1connect.AuditServiceClient
	resources  agentsvcv1connect.ResourceServiceClient
	teams      agentsvcv1connect.TeamServiceClient
	bases      agentsvcv1connect.KnowledgeBaseServiceClient
	workspaces agentsvcv1connect.WorkspaceServiceClient
	providers  agentsvcv1connect.ProviderKeyServiceClient
}

// as is a client over Connect and HTTP/1.1.
func (s *service) as(t *testing.T, token string) *client {
	t.Helper()
	return s.client(t, token, false)
}

// overGRPC is a client over gRPC and HTTP/2 without TLS.
func (s *service) overGRPC(t *testing.T, token string) *client {
	t.Helper()
	return s.client(t, token, true, connect.WithGRPC())
}

func (s *service) client(t *testing.T, token string, http2 bool, options ...connect.ClientOption) *client {
	t.Helper()
	transport := newTransport(t, http2)
	h := &http.Client{Transport: bearer{token: token, next: transport}}
	return &client{
		agents:     agentsvcv1connect.NewAgentServiceClient(h, s.url, options...),
		routes:     agentsvcv1connect.NewAgentRouteServiceClient(h, s.url, options...),
		keys:       agentsvcv1connect.NewAgentKeyServiceClient(h, s.url, options...),
		operations: agentsvcv1connect.NewOperationServiceClient(h, s.url, options...),
		audit:      agentsvcv1connect.NewAuditServiceClient(h, s.url, options...),
		resources:  agentsvcv1connect.NewResourceServiceClient(h, s.url, options...),
		teams:      agentsvcv1connect.NewTeamServiceClient(h, s.url, options...),
		bases:      agentsvcv1connect.NewKnowledgeBaseServiceClient(h, s.url, options...),
		workspaces: agentsvcv1connect.NewWorkspaceServiceClient(h, s.url, options...),
		providers:  agentsvcv1connect.NewProviderKeyServiceClient(h, s.url, options...),
	}
}

// newTransport carries calls on connections of its own, which end with the test.
func newTransport(t *testing.T, http2 bool) *http.Transport {
	t.Helper()
	protocols := &http.Protocols{}
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// bearer adds a token to every request, unless it is empty.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.next.RoundTrip(r)
}
