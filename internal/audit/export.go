package audit

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

const (
	// exportStall is how long an export waits for somebody to take what it has read. After
	// that its snapshot is given up, and the caller goes on with a new call.
	exportStall = 30 * time.Second
	// exportStallSlack is how much longer Postgres itself waits, should this process be
	// stopped in its tracks.
	exportStallSlack = 15 * time.Second
	// exportPatience is how long an export may take however steadily it is taken.
	exportPatience = 30 * time.Minute
	// exportAhead is how many batches are read before the one that is being sent was taken.
	exportAhead = 2
	// endPatience is what the event of an export's end may take after its caller has gone.
	endPatience = 5 * time.Second
)

// Send takes a piece of an export. The data is the export's, and is used again once it returns.
type Send func(*pb.ExportAuditEventsResponse) error

// Export sends all events that the caller may see and the filter lets pass, the oldest first, as they were
// at one moment. What has no end message is not whole. That it was asked for is in the history before the first event
// is read, and what came of it afterwards.
func (r *Reader) Export(ctx context.Context, caller identity.Caller, req *pb.ExportAuditEventsRequest, send Send) error {
	e, err := r.newExport(caller, req)
	if err != nil {
		return err
	}
	release, err := r.slots.take(ctx, e.who, caller.SeesAll())
	if err != nil {
		return err
	}
	defer release()
	asked := readEvent(caller, req)
	asked.Outcome = pb.AuditEvent_OUTCOME_ACCEPTED
	if err := r.record(ctx, asked); err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, exportPatience, errExportLong)
	defer cancel()
	err = e.run(limited, r.store, send)
	if why, ours := errors.AsType[*fault.Error](context.Cause(limited)); err != nil && ours {
		err = why
	}
	return errors.Join(err, r.recordEnd(ctx, asked, e, err))
}

var errExportLong = fault.New(pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED,
	"this export took longer than %s: go on with the resume_token of the last message", exportPatience)

func (r *Reader) record(ctx context.Context, event Event) error {
	if err := r.store.Tx(ctx, db.Durable, func(q *db.Queries) error { return Record(ctx, q, event) }); err != nil {
		return fmt.Errorf("recording that the history was exported: %w", err)
	}
	return nil
}

// recordEnd records what came of an export. Whoever has left cannot be told, but the event is written.
func (r *Reader) recordEnd(ctx context.Context, event Event, e *export, problem error) error {
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	after := map[string]any{"rows": e.sent}
	event.Outcome = pb.AuditEvent_OUTCOME_SUCCEEDED
	if problem != nil {
		event.Outcome, event.ErrorReason = pb.AuditEvent_OUTCOME_FAILED, fault.ReasonOf(problem)
		event.ErrorMessage = "the export was not taken to its end"
	} else {
		after["sha256"] = e.sum()
	}
	var err error
	if event.After, err = json.Marshal(after); err != nil {
		return err
	}
	event.Request = nil
	return r.record(detached, event)
}

// export is one under way.
type export struct {
	who    string
	scope  string
	what   db.AuditExport
	format format
	tokens tokenMaker
	// resumed says that what comes first was sent by an earlier call.
	resumed bool
	digest  hash.Hash
	rows    int64
	stall   time.Duration
	// sent is how many rows were taken.
	sent int64
}

func (r *Reader) newExport(caller identity.Caller, req *pb.ExportAuditEventsRequest) (*export, error) {
	filter, err := r.schema.Filter(req.GetFilter())
	if err != nil {
		return nil, err
	}
	e := &export{
		who: caller.PrincipalID.String() + caller.Name, digest: sha256.New(), tokens: r.tokens, stall: r.stall,
		what: db.AuditExport{
			Visible: visible(caller), Filter: filter, StallSeconds: int((r.stall + exportStallSlack).Seconds()),
		},
	}
	e.format = formatOf(req.GetFormat())
	e.scope = exportScope(e.who, req)
	if req.GetResumeToken() == "" {
		return e, nil
	}
	return e, e.resume(req.GetResumeToken())
}

// sum is the digest of all data so far.
func (e *export) sum() string { return hex.EncodeToString(e.digest.Sum(nil)) }

// piece is what one batch became.
type piece struct {
	data  []byte
	rows  int64
	token string
}

// run reads ahead while what was read is sent, so that neither waits for the other for long. What is
// held in memory is a few batches.
func (e *export) run(ctx context.Context, store *db.Store, send Send) error {
	group, ctx := errgroup.WithContext(ctx)
	ready := make(chan piece, exportAhead)
	used := make(chan []byte, exportAhead+2)
	group.Go(func() error {
		defer close(ready)
		return e.read(ctx, store, ready, used)
	})
	var end *pb.AuditExportEnd
	group.Go(func() error {
		for p := range ready {
			if err := send(&pb.ExportAuditEventsResponse{Data: p.data, Rows: p.rows, ResumeToken: p.token}); err != nil {
				return err
			}
			e.sent = p.rows
			select {
			case used <- p.data:
			default:
			}
		}
		return ctx.Err() // why there is no more; nil if that was all
	})
	if err := group.Wait(); err != nil {
		return err
	}
	end = &pb.AuditExportEnd{Rows: e.rows, Sha256: e.sum(), SnapshotTime: timestamppb.New(e.what.Moment.Time)}
	return send(&pb.ExportAuditEventsResponse{Rows: e.rows, End: end})
}

// read makes pieces of what the database has.
func (e *export) read(ctx context.Context, store *db.Store, ready chan<- piece, used <-chan []byte) error {
	timer := time.NewTimer(e.stall)
	defer timer.Stop()
	hand := func(p piece) error {
		timer.Reset(e.stall)
		select {
		case ready <- p:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			return db.ErrStalled
		}
	}
	var names map[uuid.UUID]string
	begin := func(moment db.AuditMoment, teams map[uuid.UUID]string) error {
		e.what.Moment, names = moment, teams
		if header := e.format.header(); len(header) > 0 && !e.resumed {
			_, _ = e.digest.Write(header) // never fails
			return hand(piece{data: header, token: e.token(nil)})
		}
		return nil
	}
	var data []byte
	var last db.AuditPlace
	each := func(line *db.AuditLine) {
		data = e.format.appendLine(data, line, names)
		last = db.AuditPlace{RecordedAt: line.RecordedAt, ID: line.ID}
		e.rows++
	}
	batch := func() error {
		_, _ = e.digest.Write(data) // never fails
		err := hand(piece{data: data, rows: e.rows, token: e.token(&last)})
		select {
		case data = <-used:
			data = data[:0]
		default:
			data = nil
		}
		return err
	}
	err := store.ExportAuditEvents(ctx, e.what, begin, each, batch)
	if errors.Is(err, db.ErrStalled) {
		return &fault.Error{
			Reason: pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED, Cause: err,
			Public: fmt.Sprintf("nothing was taken for %s, so the export was ended: go on with the resume_token of the last message", e.stall),
		}
	}
	return err
}

// state is what the digest is resumed from.
func (e *export) state() (string, error) {
	marshaler, ok := e.digest.(encoding.BinaryMarshaler)
	if !ok {
		return "", errors.New("the digest cannot be interrupted")
	}
	state, err := marshaler.MarshalBinary()
	return string(state), err
}
