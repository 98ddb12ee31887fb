package service

import (
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/team"
)

// TestNoCallPassesAFreezeThatWasAnswered freezes and unfreezes amid calls that have it looked all the
// time what is frozen. Once that is answered, no call of ours, which no queue holds back, is decided
// by what was so before.
func TestNoCallPassesAFreezeThatWasAnswered(t *testing.T) {
	t.Parallel()
	teams := &Teams{}
	e := newEdge(t, func(c *Config) {
		teams.Guard = c.Guard
		c.Services = append(Vendor(Backend{}), Ours(nil, nil, nil, teams)...)
	})
	teams.Registry = team.New(db.New(e.pool), listing.NewTokens([]byte(strings.Repeat("k", 32))))
	e.exec(t, "UPDATE principals SET platform_role = 'ADMIN'")
	client := agentsvcv1connect.NewTeamServiceClient(httpClient(t, true), e.url)
	change := func() error {
		_, err := client.SetTeamApprovals(as(t, e.token), &pb.SetTeamApprovalsRequest{Team: "payments"})
		return err
	}
	stop, others := make(chan struct{}), sync.WaitGroup{}
	for range 4 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = change() // as it comes
				}
			}
		})
	}
	defer others.Wait()
	defer close(stop)
	for range 20 {
		if _, err := client.Freeze(as(t, e.token), &pb.FreezeRequest{Team: "payments", Reason: "leaked key"}); err != nil {
			t.Fatal(err)
		}
		wantFault(t, change(), connect.CodeFailedPrecondition, pb.ErrorReason_ERROR_REASON_FROZEN)
		if _, err := client.Unfreeze(as(t, e.token), &pb.UnfreezeRequest{Team: "payments", Reason: "replaced"}); err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatalf("a change after the freeze has ended: %v", err)
		}
	}
}
