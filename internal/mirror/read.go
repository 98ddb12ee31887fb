package mirror

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// reading is one resource as an answer has it. The body is the caller's own.
type reading struct {
	row       dbsql.Resource
	body      proto.Message
	freshness *pb.Freshness
}

// maxLooks is how often a read asks the vendor anew because the resource was changed
// while it asked.
const maxLooks = 3

// read is one resource, from our copy if it is current enough, else from the vendor.
// If the vendor cannot be asked, it is our copy marked stale, if we have one.
func (m *Mirror) read(ctx context.Context, caller identity.Caller, k *kind, id uuid.UUID, most *durationpb.Duration) (reading, error) {
	var asked time.Time // when the first look at our copy was
	for n := 1; ; n++ {
		row, now, err := m.held(ctx, k, id)
		if err != nil {
			return reading{}, err
		}
		if n == 1 {
			asked = now
		}
		if k.known(row) {
			switch since := *row.BodySyncedAt; {
			case n > 1 && !since.Before(asked):
				return m.answer(k, row, pb.Freshness_SOURCE_VENDOR, false) // by another question of just now
			case most == nil || now.Sub(since) <= most.AsDuration():
				return m.answer(k, row, pb.Freshness_SOURCE_MIRROR, false)
			}
		}
		s, err := shared(ctx, m, k.name+"/"+id.String(), func(ctx context.Context) (sight, error) {
			return m.look(ctx, m.waiting(budget.Read, teamOf(caller)), k, id, m.miss)
		})
		switch {
		case err != nil && unanswered(ctx, err) && row.Body != nil:
			m.log.WarnContext(ctx, "the vendor could not be asked: answering from our copy", slog.String("kind", k.name),
				slog.String("uuid", id.String()), slog.Any("error", err))
			return m.answer(k, row, pb.Freshness_SOURCE_MIRROR, true)
		case err != nil:
			return reading{}, fmt.Errorf("reading %s %s: %w", k.name, id, asFault(err))
		case s.verdict == absent:
			return reading{}, fault.NotFound(k.name, id.String())
		case s.verdict == superseded || newer(&row, s.begun):
			// The question was asked, perhaps for somebody else, before a change that we know of.
			if n < maxLooks {
				continue
			}
		}
		row.Kind, row.UUID = k.name, id
		stale := s.verdict == superseded || row.DirtySince != nil && row.DirtySince.After(s.begun)
		return reading{row: row, body: proto.Clone(s.body), freshness: fresh(&s.begun, pb.Freshness_SOURCE_VENDOR, stale)}, nil
	}
}

// known says that a row shows the resource as it was when last confirmed. What a list or
// a change showed lacks what only reading it by itself shows.
func (k *kind) known(row dbsql.Resource) bool {
	return row.Body != nil && row.BodySyncedAt != nil && row.DirtySince == nil && (len(k.beside) == 0 || row.Status != "")
}

// held is the row and the time; an empty row if we have never seen the resource.
func (m *Mirror) held(ctx context.Context, k *kind, id uuid.UUID) (dbsql.Resource, time.Time, error) {
	found, err := m.store.ResourceNow(ctx, dbsql.ResourceNowParams{Kind: k.name, UUID: id})
	if err != nil && !db.NoRows(err) {
		return dbsql.Resource{}, time.Time{}, fmt.Errorf("reading %s %s: %w", k.name, id, db.Classify(err))
	}
	if found.Resource.DeletedAt != nil {
		return dbsql.Resource{}, time.Time{}, fault.NotFound(k.name, id.String())
	}
	return found.Resource, found.Now, nil
}

func (m *Mirror) answer(k *kind, row dbsql.Resource, source pb.Freshness_Source, stale bool) (reading, error) {
	body, err := decode(k.full, row.Body)
	if err != nil {
		return reading{}, err
	}
	return reading{row: row, body: body, freshness: fresh(row.BodySyncedAt, source, stale)}, nil
}

func fresh(at *time.Time, source pb.Freshness_Source, stale bool) *pb.Freshness {
	f := &pb.Freshness{Source: source, Stale: stale}
	if at != nil {
		f.SyncedAt = timestamppb.New(*at)
	}
	return f
}

// parse reads the uuid of a request, which validation has seen already.
func parse(field, value string) (uuid.UUID, error) {
	id, err := uuid.Parse(value)
	if err != nil {
		return uuid.Nil, fault.Invalid(field, "is not a uuid")
	}
	return id, nil
}

// sees says whether a caller may see what belongs to a team, or to none.
func sees(caller identity.Caller, team *uuid.UUID) bool {
	return caller.SeesAll() || team != nil && caller.Role(*team) != pb.Role_ROLE_UNSPECIFIED
}
