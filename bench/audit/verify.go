package main

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/audit/verify"
)

// maxVerified is how many events are verified: they are held in memory.
const maxVerified = 500_000

// verify measures how many events a second one processor holds against a checkpoint. The first events of
// the history are given places of their own here.
func (b *bench) verify(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := b.auditor.ExportAuditEvents(ctx, &pb.ExportAuditEventsRequest{})
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }() // the rest is not wanted
	var export bytes.Buffer
	var log evidence.Range
	for log.Size() < maxVerified && stream.Receive() {
		for line := range bytes.Lines(stream.Msg().GetData()) {
			_, event, _ := bytes.Cut(line, []byte(`"event":`))
			event = bytes.TrimSuffix(event, []byte("}\n"))
			export.WriteString(`{"index":` + strconv.FormatInt(log.Size(), 10) + `,"event":`)
			export.Write(event)
			export.WriteString("}\n")
			log.Add(audit.Leaf(event))
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	start := time.Now()
	report, err := verify.Export(&export, verify.Options{Checkpoints: []evidence.Checkpoint{{Size: log.Size(), Root: log.Root()}}})
	took := time.Since(start)
	if err != nil {
		return err
	}
	if !report.OK() {
		return fmt.Errorf("the export is not what it was: %v", report.FirstBad())
	}
	_, err = fmt.Fprintf(b.out, "verify                        %.0f events a second and processor   (%d events; aim: 300000)\n",
		float64(log.Size())/took.Seconds(), log.Size())
	return err
}

// sealed waits until the service has given all events their places, which it does beside all else.
func (b *bench) sealed(ctx context.Context) error {
	start := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for size := 0; size < b.o.events; {
		if err := b.pool.QueryRow(ctx, "SELECT coalesce(max(index) + 1, 0) FROM audit_leaves").Scan(&size); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	took := time.Since(start)
	// What the loading left to be done would be measured with the rest. Who is not the server's owner leaves the checkpoint to Postgres.
	if _, err := b.pool.Exec(ctx, "VACUUM (ANALYZE) audit_leaves, audit_nodes"); err != nil {
		return err
	}
	if _, err := b.pool.Exec(ctx, "CHECKPOINT"); err != nil && !strings.Contains(err.Error(), "must be superuser") {
		return err
	}
	_, err := fmt.Fprintf(b.out, "sealed                        after %s\n", took.Round(time.Second))
	return err
}
