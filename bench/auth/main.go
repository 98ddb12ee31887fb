// Command auth measures what it costs to know who calls: an empty call with a service
// token and one with an OIDC provider's, beside the same call to a server that takes
// everybody for the same, in the same run and in turns of a hundred, so that whatever
// else the machine does meets all of them.
//
// The health check, which needs no credentials either, is shown too. It passes by all
// stages of a call, telemetry, validation and access, so what is between it and the
// others is not identity.
//
//	go run ./bench/auth --calls 30000
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/config"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/localpg"
	"github.com/agentsvc/agentsvc/internal/db/migrate"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/identity/oidctest"
)

const (
	// turn is how many calls of one kind follow one another.
	turn = 100
	// warm is how many calls are made first and not counted.
	warm = 500
	// aim is the most that a call with credentials may take, as a multiple of one without.
	aim = 1.15
	// audience is whom the provider's tokens are for.
	audience = "agentsvc"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	calls := flag.Int("calls", 30_000, "how many calls of each kind to make")
	flag.Parse()
	if err := run(ctx, *calls, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // stop only frees the signal handler
	}
}

// kind is a sort of call.
type kind struct {
	name, url, token string
	times            []time.Duration
}

func run(ctx context.Context, calls int, out io.Writer) error {
	postgres, err := localpg.Start(ctx, localpg.Options{URL: os.Getenv("TEST_DATABASE_URL"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { _ = postgres.Stop() }() // temporary
	if err := migrate.Up(ctx, postgres.URL()); err != nil {
		return err
	}
	pool, err := db.Open(ctx, postgres.URL())
	if err != nil {
		return err
	}
	defer pool.Close()
	store := db.New(pool)
	service, person, issuer, err := tokens(ctx, store)
	if err != nil {
		return err
	}
	defer func() { _ = issuer.Stop() }() // temporary
	callers := identity.New(store, identity.Config{Issuers: []config.Issuer{{URL: issuer.URL, Audience: audience}}})
	ctx, cancel := context.WithCancel(ctx)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		_ = callers.Run(ctx) // it ends with its context
	}()
	defer func() {
		cancel()
		<-listening
	}()
	known, stop, err := serve(ctx, store, callers)
	if err != nil {
		return err
	}
	defer stop()
	open, stopOpen, err := serve(ctx, store, anybody{})
	if err != nil {
		return err
	}
	defer stopOpen()

	const whoAmI = "/agentsvc.v1.TeamService/WhoAmI"
	without := &kind{name: "nobody is asked", url: open + whoAmI}
	kinds := []*kind{
		without,
		{name: "service token", url: known + whoAmI, token: service},
		{name: "OIDC token", url: known + whoAmI, token: person},
		{name: "health check", url: known + "/grpc.health.v1.Health/Check"},
	}
	// Compressed answers are not asked for: the health check would compress nothing at all.
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}}
	for done := -warm; done < calls; done += turn {
		for _, k := range kinds {
			if err := k.call(ctx, client, done >= 0); err != nil {
				return err
			}
		}
	}
	slices.Sort(without.times)
	for _, k := range kinds {
		slices.Sort(k.times)
		if _, err := fmt.Fprintf(out, "%-15s p50 %s  p95 %s  p99 %s  ÷ nobody is asked %.2f\n",
			k.name, k.quantile(0.50), k.quantile(0.95), k.quantile(0.99), float64(k.middle())/float64(without.middle())); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "aim: both tokens within %.2f\n", aim)
	return err
}

// tokens are one of a service and one of a person, from a provider that goes on running.
func tokens(ctx context.Context, store *db.Store) (service, person string, issuer *oidctest.Issuer, err error) {
	if _, err := store.UpsertTeam(ctx, "bench"); err != nil {
		return "", "", nil, err
	}
	token, err := identity.CreateToken(ctx, store.Queries, identity.TokenSpec{Service: "bench", Team: "bench", Role: pb.Role_ROLE_OPERATOR})
	if err != nil {
		return "", "", nil, err
	}
	key, err := oidctest.NewKey("bench", jose.RS256)
	if err != nil {
		return "", "", nil, err
	}
	if issuer, err = oidctest.Start(ctx, key); err != nil {
		return "", "", nil, err
	}
	person, err = oidctest.Sign(key, issuer.Claims(time.Now(), audience, "1234", map[string]any{"email": "bench@example.com", "email_verified": true}))
	return token.Secret, person, issuer, err
}

// call makes a turn of calls.
func (k *kind) call(ctx context.Context, client *http.Client, counts bool) error {
	for range turn {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, k.url, bytes.NewReader(nil))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/proto")
		if k.token != "" {
			req.Header.Set("Authorization", "Bearer "+k.token)
		}
		began := time.Now()
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		took := time.Since(began)
		_ = resp.Body.Close() // it was read whole
		if err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: answered %s: %s (%w)", k.name, resp.Status, text, err)
		}
		if counts {
			k.times = append(k.times, took)
		}
	}
	return nil
}

func (k *kind) middle() time.Duration { return k.times[len(k.times)/2] }

// quantile of the times, which are sorted.
func (k *kind) quantile(q float64) time.Duration {
	return k.times[int(q*float64(len(k.times)-1))].Round(time.Microsecond)
}
