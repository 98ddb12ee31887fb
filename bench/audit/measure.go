package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

type bench struct {
	o               options
	pool            *pgxpool.Pool
	w               *world
	out             io.Writer
	service         *service
	auditor, member agentsvcv1connect.AuditServiceClient
}

const pageSize = 50

// raw reads a page by pgx, with all that the service reads.
func (b *bench) raw(ctx context.Context, q question) (int, error) {
	rows, err := b.pool.Query(ctx, "SELECT "+strings.Join(columns(), ", ")+" FROM audit_events WHERE "+q.where+
		fmt.Sprintf(" ORDER BY recorded_at DESC, id DESC LIMIT %d", pageSize+1), append([]any{pgx.QueryExecModeCacheDescribe}, q.args...)...)
	if err != nil {
		return 0, err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	return min(len(found), pageSize), err
}

// pages asks each question twice: the service, and Postgres by itself.
func (b *bench) pages(ctx context.Context) error {
	var ours, theirs []time.Duration
	var slowest time.Duration
	var slow string
	oursBySort, theirsBySort := map[string][]time.Duration{}, map[string][]time.Duration{}
	for i, q := range b.questions(b.o.pages) {
		var n, want int
		rpc := func() error {
			start := time.Now()
			resp, err := b.auditor.ListAuditEvents(ctx, &pb.ListAuditEventsRequest{Filter: q.filter, PageSize: pageSize})
			if err != nil {
				return fmt.Errorf("%s: %w", q.filter, err)
			}
			took := time.Since(start)
			ours, oursBySort[q.sort], n = append(ours, took), append(oursBySort[q.sort], took), len(resp.GetEvents())
			if took > slowest {
				slowest, slow = took, q.filter
			}
			return nil
		}
		sql := func() (err error) {
			start := time.Now()
			want, err = b.raw(ctx, q)
			took := time.Since(start)
			theirs, theirsBySort[q.sort] = append(theirs, took), append(theirsBySort[q.sort], took)
			return err
		}
		steps := []func() error{rpc, sql}
		if len(oursBySort[q.sort])%2 > 0 { // whoever comes second finds the pages of the database in memory
			slices.Reverse(steps)
		}
		if err := errors.Join(steps[0](), steps[1]()); err != nil {
			return err
		}
		if n != want {
			return fmt.Errorf("question %d, %s: the service answers %d events, Postgres %d", i, q.filter, n, want)
		}
	}
	fmt.Fprintf(b.out, "a filtered page of %d         p50 %s  p95 %s  p99 %s   (%d pages of %d sorts; aim: p99 within 20ms)\n",
		pageSize, quantile(ours, 0.50), quantile(ours, 0.95), quantile(ours, 0.99), len(ours), len(oursBySort))
	fmt.Fprintf(b.out, "the same SQL by pgx           p50 %s  p95 %s  p99 %s\n", quantile(theirs, 0.50), quantile(theirs, 0.95), quantile(theirs, 0.99))
	_, err := fmt.Fprintf(b.out, "page ÷ SQL                    %.2f of p50, %.2f of p99   (aim: 2 of p99)\n",
		quantile(ours, 0.50).Seconds()/quantile(theirs, 0.50).Seconds(), quantile(ours, 0.99).Seconds()/quantile(theirs, 0.99).Seconds())
	for _, sort := range slices.Sorted(maps.Keys(oursBySort)) {
		fmt.Fprintf(b.out, "  %-26s  p50 %-8s p99 %-8s   SQL p50 %-8s p99 %s\n", sort, quantile(oursBySort[sort], 0.50), quantile(oursBySort[sort], 0.99),
			quantile(theirsBySort[sort], 0.50), quantile(theirsBySort[sort], 0.99))
	}
	fmt.Fprintf(b.out, "  the slowest page took %s: %s\n", slowest.Round(10*time.Microsecond), slow)
	return err
}

// deepPage goes through a team's history for a hundred pages, and compares the last with the first.
func (b *bench) deepPage(ctx context.Context) error {
	var first, last []time.Duration
	for range 5 {
		req := &pb.ListAuditEventsRequest{PageSize: 1000}
		for page := range 100 {
			start := time.Now()
			resp, err := b.member.ListAuditEvents(ctx, req)
			if err != nil {
				return err
			}
			took := time.Since(start)
			if page < 10 {
				first = append(first, took)
			}
			if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" || page >= 90 {
				last = append(last, took)
			}
			if req.GetPageToken() == "" {
				break
			}
		}
	}
	_, err := fmt.Fprintf(b.out, "a deep page of 1000           p50 %s of the last ten, %s of the first ten   (a member's own team)\n",
		quantile(last, 0.5), quantile(first, 0.5))
	return err
}

func (b *bench) summaries(ctx context.Context) error {
	end := time.Now().UTC()
	for who, client := range map[string]agentsvcv1connect.AuditServiceClient{"all teams": b.auditor, "one team": b.member} {
		var times []time.Duration
		var events int64
		for range 3 {
			start := time.Now()
			resp, err := client.SummarizeAuditEvents(ctx, &pb.SummarizeAuditEventsRequest{
				StartTime: timestamppb.New(end.AddDate(0, -1, 0)), EndTime: timestamppb.New(end),
			})
			if err != nil {
				return err
			}
			times, events = append(times, time.Since(start)), resp.GetTotal().GetEvents()
		}
		if _, err := fmt.Fprintf(b.out, "summary of a month, %-9s %s   (the median of 3; %d events)\n", who, quantile(times, 0.5), events); err != nil {
			return err
		}
	}
	return nil
}

// exports compares a whole export with COPY of the same columns, one after the other and with nobody beside.
func (b *bench) exports(ctx context.Context) error {
	copied, took, err := b.copy(ctx)
	if err != nil {
		return err
	}
	raw := float64(copied) / took.Seconds()
	fmt.Fprintf(b.out, "COPY … TO STDOUT              %.0f rows a second   (%d rows)\n", raw, copied)
	idle := b.service.resident()
	stop := b.service.peak()
	start := time.Now()
	stream, err := b.auditor.ExportAuditEvents(ctx, &pb.ExportAuditEventsRequest{})
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }() // read to its end
	digest := sha256.New()
	var end *pb.AuditExportEnd
	for stream.Receive() {
		_, _ = digest.Write(stream.Msg().GetData()) // never fails
		end = stream.Msg().GetEnd()
	}
	took = time.Since(start)
	peak := stop()
	if err := stream.Err(); err != nil {
		return err
	}
	if end.GetSha256() != hex.EncodeToString(digest.Sum(nil)) || end.GetRows() < copied {
		return fmt.Errorf("the export is not whole: %v", end)
	}
	rate := float64(end.GetRows()) / took.Seconds()
	fmt.Fprintf(b.out, "ExportAuditEvents             %.0f rows a second, %.2f of COPY   (aim: 0.5)\n", rate, rate/raw)
	_, err = fmt.Fprintf(b.out, "its memory                    %d MiB over %d MiB idle   (aim: 64)\n", (peak-idle)>>20, idle>>20)
	return err
}

func (b *bench) copy(ctx context.Context) (int64, time.Duration, error) {
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Release()
	start := time.Now()
	tag, err := conn.Conn().PgConn().CopyTo(ctx, io.Discard, "COPY (SELECT "+strings.Join(columns(), ", ")+" FROM audit_events) TO STDOUT")
	return tag.RowsAffected(), time.Since(start), err
}

func quantile(times []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Round(10 * time.Microsecond)
}
