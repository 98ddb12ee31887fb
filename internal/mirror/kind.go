package mirror

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// kind says all that the mirror has to know of a kind of resource. Paths are those
// of fields, in the full message and as far as it has them in the summary.
type kind struct {
	name string
	// summary is what lists show of a resource, full what reading it alone shows;
	// both are prototypes. They are the same for kinds that cannot be read alone.
	summary, full proto.Message
	// list is the method that lists the whole kind, items the field of its response; list is
	// empty for kinds of which there is no such list. others are further methods that list
	// some of the kind.
	list, items string
	others      []string
	// get is the method that reads one, id the field of its request, and item that
	// of its response; get is empty for kinds that cannot be read alone.
	get, id, item string
	// beside are fields of ours in the full message, and the fields of get's response that
	// fill them: lists do not show them. They are about what the field besideOf names.
	beside   map[string]string
	besideOf string
	// named says that what tells one from another is a name, not a uuid.
	named bool

	columns columns
	// attributes are further values that lists can be filtered by, by their names.
	attributes map[string]string

	// related are parts that are resources in their own right, and what is stored of
	// each: the rest would go stale here, and may be another team's.
	related map[string][]string
	// neighbours are parts that are, or name, other resources: these are for those who may
	// see them.
	neighbours []neighbour
	// mentions are fields of no known form that name resources of a kind.
	mentions map[string]string
	// compared are parts of which only some fields count when two bodies are compared.
	compared map[string][]string
	// volatile fields change by themselves, or are compared elsewhere.
	volatile []string
	// stamps tell that something changed: alone they are no difference.
	stamps []string
	// unversioned fields can change without another version. They are taken over into
	// the body from lists.
	unversioned []string
	// leaving are statuses in which the vendor may still show what was deleted.
	leaving []string
	// over is the status of what was deleted and may still be shown; "" if there is none.
	over string
	// passing are statuses that change by themselves, so that the sync looks again.
	passing []string
	// quiet says that the kind goes on by itself: that one changed is not told.
	quiet bool
	// untold says that what happens to one of the kind is not told: nobody does it, or it is
	// told of another.
	untold bool
	// slow is how many rounds of the sync come and go between two listings; 0 for none.
	slow int
	// ends are the statuses that end a wait.
	ends map[string]outcome

	// part says which resource one of the kind is a part of: it belongs to whoever that
	// belongs to. nil for kinds that stand by themselves.
	part *partOf
	// makes is what making one of the kind may make besides, and the path at which a body
	// names it; nil if nothing.
	makes *partOf
	// catalogue says that nobody can own one of the kind.
	catalogue bool
	// shared says whether every caller may see one; nil: not by everybody.
	shared func(proto.Message) bool
	// references are attributes by which one of the kind names others.
	references []reference
	// referring are the attributes of agents by which they refer to one of the kind, and route
	// the kind of route: what they refer to is part of them, and removing it changes them.
	referring []string
	route     string

	// attached are fields that all answers show and that no methods but the named ones
	// change. The methods are given as "Service.Method".
	attached map[string][]string

	// relate completes what a reader is shown of one from what we know beside its body; nil if
	// there is nothing.
	relate func(ctx context.Context, m *Mirror, caller identity.Caller, id uuid.UUID, body proto.Message) error

	// schema is what lists of the kind are filtered and ordered by.
	schema *listing.Schema

	// parts is what the kind keeps beside its row; nil if there is nothing.
	parts parts
	// ties is nil for kinds whose resources have nothing to do with each other.
	ties ties
}

// partOf is how a resource tells which other one it is a part of.
type partOf struct{ kind, path string }

// columns are the paths of what every kind has, "" where it has it not.
type columns struct {
	uuid, name, status, region, tags, version, created, updated string
	// deleted is the path of a time that only what was deleted has.
	deleted string
}

// ties are between resources of one kind, of which a change of one shows in others. All
// methods run in the transaction that changes the row.
type ties interface {
	// lock answers the row with those that its removal changes, locked in the order of
	// their uuids.
	lock(ctx context.Context, q *db.Queries, id uuid.UUID) ([]dbsql.Resource, error)
	// read answers what is known of some resources besides their rows.
	read(ctx context.Context, q *db.Queries, ids []uuid.UUID) (map[uuid.UUID]known, error)
	// suspects are what else may be behind a body that is not as what is held.
	suspects(ctx context.Context, q *db.Queries, id uuid.UUID, body proto.Message, h *holding) (suspects, error)
}

// parts is what some kinds keep beside their rows. All methods run in the
// transaction that changes the row, which is locked.
type parts interface {
	// stored follows a body that replaces another, nil if there was none.
	stored(ctx context.Context, q *db.Queries, s storing) error
	// removed follows a resource that is no more.
	removed(ctx context.Context, q *db.Queries, id uuid.UUID, by cause) error
	// applied brings in a change whose answer did not show the resource. It says
	// whether it did; if not, the row becomes dirty.
	applied(ctx context.Context, q *db.Queries, c Change, on target) (Effect, bool, error)
	// told is what the history should tell of a change of a part, whose answer showed
	// the whole; false if it is about the whole.
	told(c Change, on target, before, after proto.Message) (Effect, bool, error)
}

// storing is a body on its way into the database.
type storing struct {
	id            uuid.UUID
	before, after proto.Message
	// version is that of the row before, which may be ahead of the body before.
	version string
	// text is after as it is stored.
	text []byte
	// at is when it was so; where an operation of before explains it, when that was settled.
	at time.Time
	by cause
	// known is what there was besides the row: see [storing.read].
	known
	// seen is when it was asked for, or at.
	seen time.Time
	// method is the change whose answer shows the body; nil where a look does. What it cannot
	// have done to the agent's routes was done by others, or by an operation of before.
	method *methods.Method
	others cause
}

// cause is the operation behind a difference; zero if none of ours is.
type cause struct {
	operation *uuid.UUID
	actor     *string
	reason    string
	// at is when it was settled, as the operation tells it; nil if it is not.
	at *time.Time
}

func causedBy(op dbsql.Operation) cause {
	return cause{operation: &op.ID, actor: &op.Actor, reason: op.Reason, at: op.FinishedAt}
}

// since is when what it did began: at the moment that its operation tells, so that who asks
// how all was then finds it done.
func (c cause) since(now time.Time) time.Time {
	if c.at != nil && c.at.Before(now) {
		return *c.at
	}
	return now
}

// identify is the uuid of a message of the kind. Where names tell one from another, it is
// made of the name.
func (k *kind) identify(m proto.Message) (uuid.UUID, error) {
	told := methods.String(m, k.columns.uuid)
	if k.named && told != "" {
		return uuid.NewSHA1(uuid.NameSpaceOID, []byte(k.name+"/"+told)), nil
	}
	id, err := uuid.Parse(told)
	if err != nil {
		return uuid.Nil, fmt.Errorf("reading the uuid of a %s that the vendor sent: %w", k.name, err)
	}
	return id, nil
}

// isOver says that a message shows what was deleted.
func (k *kind) isOver(m proto.Message) bool {
	return k.columns.deleted != "" && len(methods.Values(m.ProtoReflect(), k.columns.deleted)) > 0 ||
		k.over != "" && text(m, k.columns.status) == k.over
}

// whole says that lists show all that there is of a resource.
func (k *kind) whole() bool {
	return k.summary.ProtoReflect().Descriptor().FullName() == k.full.ProtoReflect().Descriptor().FullName()
}

// is says whether a message is one of the kind as reading it alone shows it.
func (k *kind) is(m protoreflect.MessageDescriptor) bool {
	return m.FullName() == k.full.ProtoReflect().Descriptor().FullName()
}

// isSummary says whether a message is one of the kind as lists show it.
func (k *kind) isSummary(m protoreflect.MessageDescriptor) bool {
	return m.FullName() == k.summary.ProtoReflect().Descriptor().FullName()
}

// storable is a copy of m as it may be stored: without secrets, and with no more of
// other resources than belongs to this one.
func (k *kind) storable(m proto.Message) proto.Message {
	clean := proto.Clone(m)
	redact(clean)
	for path, keep := range k.related {
		reduce(clean.ProtoReflect(), path, keep)
	}
	return clean
}

// essence is a copy of m with what counts when two of the kind are compared.
func (k *kind) essence(m proto.Message) proto.Message {
	if m == nil {
		return nil
	}
	clean := k.storable(m)
	for path, keep := range k.compared {
		reduce(clean.ProtoReflect(), path, keep)
	}
	for _, path := range k.volatile {
		clearAt(clean.ProtoReflect(), path)
	}
	return clean
}

// differ says whether two of the kind differ in what counts.
func (k *kind) differ(before, after proto.Message) bool {
	b, a := k.essence(before), k.essence(after)
	for _, path := range k.stamps {
		clearAt(b.ProtoReflect(), path)
		clearAt(a.ProtoReflect(), path)
	}
	return !proto.Equal(b, a)
}

// divide is what counts of a message when two are compared, in two: what the method
// may change, and what no more than shows in its answer.
func (k *kind) divide(method *methods.Method, m proto.Message) (own, others proto.Message) {
	own, others = k.essence(m), blank(k.full)
	for field, changing := range k.attached {
		if !slices.ContainsFunc(changing, func(name string) bool { return string(method.Name) == methods.Package+"."+name }) {
			take(others, own, field)
			clearAt(own.ProtoReflect(), field)
		}
	}
	return own, others
}

// row is the message as its row shows it: the columns, and neither summary nor body.
func (k *kind) row(id uuid.UUID, m proto.Message) (dbsql.UpsertResourceParams, error) {
	attributes := map[string]string{}
	for name, path := range k.attributes {
		// What a summary does not have it does not clear either.
		if methods.Resolve(m.ProtoReflect().Descriptor(), path) != nil {
			attributes[name] = clip(text(m, path))
		}
	}
	encoded, err := json.Marshal(attributes)
	if err != nil {
		return dbsql.UpsertResourceParams{}, fmt.Errorf("writing the attributes of %s %s: %w", k.name, id, err)
	}
	shared := k.shared != nil && k.shared(m)
	parentKind, parent := k.parentOf(m)
	tags := []string{}
	for _, tag := range methods.Strings(m, k.columns.tags) {
		tags = append(tags, clip(tag))
	}
	return dbsql.UpsertResourceParams{
		Kind: k.name, UUID: id,
		Name: clip(text(m, k.columns.name)), Status: clip(text(m, k.columns.status)), Region: clip(text(m, k.columns.region)),
		Tags: tags, Attributes: encoded, VersionHash: text(m, k.columns.version),
		UpstreamCreatedAt: moment(m, k.columns.created), UpstreamUpdatedAt: moment(m, k.columns.updated),
		ParentKind: parentKind, ParentUUID: parent, Shared: shared,
	}, nil
}

// parentOf is the resource that a message says to be a part of; nil if it is of none.
func (k *kind) parentOf(m proto.Message) (kind string, parent *uuid.UUID) {
	if k.part == nil {
		return "", nil
	}
	id, err := uuid.Parse(methods.String(m, k.part.path))
	if err != nil {
		return "", nil
	}
	return k.part.kind, &id
}

// columnRunes is how much of a text the columns keep that lists filter and sort by. An
// index cannot take one of any length, and would keep the row from being stored.
const columnRunes = 255

// clip is the beginning of a text, as a column takes it; bodies keep the whole.
func clip(s string) string {
	n := 0
	for i := range s {
		if n == columnRunes {
			return s[:i]
		}
		n++
	}
	return s
}

// decode reads stored bytes into a new message of the prototype's type.
func decode(prototype proto.Message, stored []byte) (proto.Message, error) {
	if stored == nil {
		return nil, nil //nolint:nilnil // nothing is stored
	}
	m := blank(prototype)
	if err := proto.Unmarshal(stored, m); err != nil {
		return nil, fmt.Errorf("reading a stored %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return m, nil
}

func blank(prototype proto.Message) proto.Message {
	return prototype.ProtoReflect().New().Interface()
}

// encode is the one way bytes are stored, so that equal messages are equal bytes.
func encode(m proto.Message) ([]byte, error) {
	stored, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("writing a %s to store it: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return stored, nil
}

// text is the value at a path as a column has it: texts as they are, and the names
// of enum values.
func text(m proto.Message, path string) string {
	values := methods.Values(m.ProtoReflect(), path)
	if len(values) == 0 {
		return ""
	}
	switch v := values[0].Interface().(type) {
	case string:
		return v
	case protoreflect.EnumNumber:
		fd := methods.Resolve(m.ProtoReflect().Descriptor(), path)
		if known := fd.Enum().Values().ByNumber(v); known != nil {
			return string(known.Name())
		}
		return strconv.Itoa(int(v))
	}
	return ""
}

// moment is the time at a path, nil if there is none.
func moment(m proto.Message, path string) *time.Time {
	values := methods.Values(m.ProtoReflect(), path)
	if len(values) == 0 {
		return nil
	}
	stamp, ok := values[0].Message().Interface().(*timestamppb.Timestamp)
	if !ok || !stamp.IsValid() {
		return nil
	}
	at := stamp.AsTime()
	return &at
}
