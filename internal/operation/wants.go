package operation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/mirror"
)

// clockSkew is how much the vendor's clock may be behind the database's when the
// age of a found item is judged; the vendor's times are whole seconds besides.
const clockSkew = 30 * time.Second

// wants is what is looked for: one item that meets all, or, where a request names several
// things, one for each of them.
type wants struct {
	tag  string
	must []want
	// each are fields of which every value must be met by some item, whichever it is.
	each []want
	// found are items that met what is looked for: one, or one for each value.
	found []protoreflect.Message
}

type want struct {
	field  string
	values []string
	// begins says that the field may go on after the value.
	begins bool
	// set says that the field is a list, of these values and no others.
	set bool
}

func (a *attempt) wants() *wants {
	if a.method.Access.GetReconcile() == pb.Reconcile_RECONCILE_FIND_BY_TAG {
		return &wants{tag: mirror.OperationTag + a.row.ID.String()}
	}
	w := &wants{}
	for _, b := range a.method.Access.GetFind().GetMatch() {
		wanted := want{field: b.GetTo(), begins: b.GetBegins(), set: a.listed(b.GetTo())}
		for _, value := range texts(a.request, b.GetFrom()) {
			if !slices.Contains(wanted.values, value) { // what is named twice is made once
				wanted.values = append(wanted.values, value)
			}
		}
		switch {
		case len(wanted.values) == 0: // not given: the vendor chose
		case !wanted.set && repeated(a.method.Input.Descriptor(), b.GetFrom()):
			w.each = append(w.each, wanted)
		default:
			w.must = append(w.must, wanted)
		}
	}
	return w
}

// repeated says whether a path may have several values in one message.
func repeated(d protoreflect.MessageDescriptor, path string) bool {
	name, rest, nested := strings.Cut(path, ".")
	fd := d.Fields().ByName(protoreflect.Name(name))
	if fd == nil {
		return false
	}
	return fd.IsList() || nested && fd.Message() != nil && repeated(fd.Message(), rest)
}

// matchItem notes what of the wants the item meets.
func (a *attempt) matchItem(ctx context.Context, item protoreflect.Message, w *wants) error {
	m := item.Interface()
	if w.tag != "" {
		if !slices.Contains(methods.Strings(m, "tags"), w.tag) {
			return nil
		}
		// Tags are anybody's to set: it must be new, and nobody's yet.
		ours, err := a.ours(ctx, m, "created_at")
		if ours {
			w.found = []protoreflect.Message{item}
		}
		return err
	}
	for _, must := range w.must {
		if !must.met(m) {
			return nil
		}
	}
	for _, condition := range a.method.Access.GetFind().GetWhere() {
		if !methods.Meets(item, condition) {
			return nil
		}
	}
	if created := a.method.Access.GetFind().GetCreated(); created != "" {
		ours, err := a.ours(ctx, m, created)
		if err != nil || !ours {
			return err
		}
	}
	if len(w.each) == 0 {
		w.found = []protoreflect.Message{item}
		return nil
	}
	met := false
	for i := range w.each {
		each := &w.each[i]
		if at := slices.Index(each.values, methods.String(m, each.field)); at >= 0 {
			each.values = slices.Delete(each.values, at, at+1)
			met = true
		}
	}
	if met {
		w.found = append(w.found, item)
	}
	return nil
}

// ours says whether an item that looks right was made by this change: not before it
// was sent, and not by another operation.
func (a *attempt) ours(ctx context.Context, item proto.Message, created string) (bool, error) {
	at := methods.Values(item.ProtoReflect(), created)
	sent := *a.row.SentAt // what was not sent is not looked for
	if len(at) == 1 {
		if stamp, ok := at[0].Message().Interface().(*timestamppb.Timestamp); ok && stamp.AsTime().Before(sent.Add(-clockSkew)) {
			return false, nil
		}
	}
	id, err := uuid.Parse(a.idOf(item))
	if err != nil {
		return true, nil //nolint:nilerr // an item without an id of its own is judged by its time
	}
	other, err := a.engine.Store.ResultOfOther(ctx, dbsql.ResultOfOtherParams{
		ResourceUUID: &id, ID: a.row.ID, Method: a.row.Method, ParentUUID: a.row.ParentUUID, SentAt: sent,
	})
	if err != nil {
		return false, fmt.Errorf("looking whose result %s is: %w", id, err)
	}
	return !other, nil
}

// idOf is the id of an item, "" if it has none of its own.
func (a *attempt) idOf(item proto.Message) string {
	path := a.method.Access.GetFind().GetId()
	if path == "" {
		path = "uuid"
	}
	return methods.String(item, path)
}

// some are the ids of those found, if the change makes several things and not all are there.
// Where their time does not tell, they may have been there before, and being sent again the
// change leaves them as they are.
func (a *attempt) some(w *wants) []string {
	if a.method.Access.GetFind().GetCreated() == "" {
		return nil
	}
	var ids []string
	for _, item := range w.found {
		ids = append(ids, a.idOf(item.Interface()))
	}
	return ids
}

// complete are the items that show that all was done, or nil.
func (w *wants) complete() []protoreflect.Message {
	for _, each := range w.each {
		if len(each.values) > 0 {
			return nil
		}
	}
	return w.found
}
