package audit

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/methods"
)

const (
	// readsWithin is how long one event stands for what a caller asks for again and again,
	// such as all pages of a list.
	readsWithin = time.Minute
	// maxReads is how many different things a caller asks for within that time before one event
	// stands for all further ones: reading must not flood what it reads.
	maxReads = 30
)

// reads are what was read lately through this process. Another replica has its own, so there
// may be as many events as replicas.
type reads struct {
	now func() time.Time

	mu    sync.Mutex
	since time.Time
	// told are the readings that have an event; how many there are of a caller is in of.
	told map[[sha256.Size]byte]bool
	of   map[string]int
}

func newReads(now func() time.Time) *reads { return &reads{now: now} }

// first says that a reading has no event yet, and whether it is one of too many. It takes it for
// told from then on; see [reads.forget].
func (r *reads) first(who, what string) (key [sha256.Size]byte, first, tooMany bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); r.told == nil || now.Sub(r.since) >= readsWithin {
		r.since, r.told, r.of = now, map[[sha256.Size]byte]bool{}, map[string]int{}
	}
	key = sha256.Sum256([]byte(listing.RequestScope(who, what)))
	if r.told[key] {
		return key, false, false
	}
	if r.of[who] >= maxReads {
		key = sha256.Sum256([]byte(listing.RequestScope(who)))
		if r.told[key] {
			return key, false, false
		}
		tooMany = true
	}
	r.told[key] = true
	r.of[who]++
	return key, true, tooMany
}

// forget is for a reading whose event could not be written: the next one tries again.
func (r *reads) forget(who string, key [sha256.Size]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told[key] {
		delete(r.told, key)
		r.of[who]--
	}
}

// recordRead puts a reading of the history into the history: once a minute for a caller and
// what they asked for. It is done before the answer is given, and after it was read, so that no answer
// has its own event. A reading changes nothing, so the commit need not wait for the disk.
func (r *Reader) recordRead(ctx context.Context, caller identity.Caller, req proto.Message) error {
	who := caller.PrincipalID.String() + caller.Name
	key, first, tooMany := r.reads.first(who, listing.ScopeOf(req))
	if !first {
		return nil
	}
	event := readEvent(caller, req)
	event.Outcome = pb.AuditEvent_OUTCOME_SUCCEEDED
	if tooMany {
		event.Request = &structpb.Struct{Fields: map[string]*structpb.Value{
			"different_readings_in_a_minute": structpb.NewStringValue(fmt.Sprintf("more than %d", maxReads)),
		}}
	}
	if err := r.store.Tx(ctx, db.Loose, func(q *db.Queries) error { return Record(ctx, q, event) }); err != nil {
		r.reads.forget(who, key)
		return fmt.Errorf("recording that the history was read: %w", err)
	}
	return nil
}

// readEvent is the event of a reading. It belongs to no team: whoever sees everything sees who read
// what, and teams see what was done.
func readEvent(caller identity.Caller, req proto.Message) Event {
	event := Event{
		Action: pb.Action_ACTION_LIST, Origin: pb.AuditEvent_ORIGIN_API,
		Resource: Ref{Kind: "audit_events"}, Request: withoutTokens(req),
	}.By(caller)
	if method := methods.API().ByRequest(req); method != nil {
		event.Method = string(method.Name)
	}
	return event
}

// withoutTokens is the request without what only says where to go on.
func withoutTokens(req proto.Message) proto.Message {
	clean := proto.Clone(req)
	m := clean.ProtoReflect()
	if fd := m.Descriptor().Fields().ByName("page_token"); fd != nil {
		m.Clear(fd)
	}
	if fd := m.Descriptor().Fields().ByName("resume_token"); fd != nil && m.Has(fd) {
		m.Set(fd, protoreflect.ValueOfString("…"))
	}
	return clean
}
