package operation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

const (
	// clockSkew is how much the vendor's clock may be behind the database's when the
	// age of a found item is judged; the vendor's times are whole seconds besides.
	clockSkew = 30 * time.Second
	// findPageSize is what is asked of the vendor; it may answer fewer.
	findPageSize = 200
	// maxFindPages bounds a search: 200 × 200 items.
	maxFindPages = 200
)

// reconcile finds out what became of a change that was sent, by the strategy its
// method declares, without ever making it twice:
//
//	RESEND        sending again is harmless
//	FIND_BY_TAG   whatever carries the operation's tag is its result
//	FIND_IN_LIST  the result shows in a list; what is not there is sent again
//	ASK           nobody can tell: the operation fails with OUTCOME_UNKNOWN
//
// What is not found at first is looked for again after a quiet time, because a
// request whose reply was lost may still be on its way to having its effect.
func (a *attempt) reconcile(ctx context.Context) error {
	switch a.method.Access.GetReconcile() {
	case pb.Reconcile_RECONCILE_RESEND:
		return a.send(ctx)
	case pb.Reconcile_RECONCILE_FIND_BY_TAG, pb.Reconcile_RECONCILE_FIND_IN_LIST:
	case pb.Reconcile_RECONCILE_ASK, pb.Reconcile_RECONCILE_UNSPECIFIED:
		return a.settle(ctx, ending{failure: a.unknown(errors.New("the method has no way to find out"))})
	}
	response, found, err := a.find(ctx)
	switch {
	case err != nil:
		a.engine.Log.InfoContext(ctx, "looking for the effect of a change", slog.String("operation", a.row.ID.String()), slog.Any("error", err))
		if a.exhausted() && !a.insists() {
			return a.settle(ctx, ending{failure: a.unknown(err)})
		}
		return a.park(ctx, a.engine.backoff(int(a.row.Claims)), false)
	case found:
		return a.settle(ctx, ending{response: response, shown: a.shown(ctx, response)})
	case !a.quiet():
		return a.park(ctx, a.engine.Quiet, true)
	}
	return a.send(ctx)
}

// quiet says whether the change was looked for in vain before, so long ago that what
// did not show since will not show any more. The database's clock stamped both times.
func (a *attempt) quiet() bool {
	return a.row.MissedAt != nil && a.claimed().Sub(*a.row.MissedAt) >= a.engine.Quiet
}

// find looks for the effect of the change and completes the response as the vendor
// would have answered.
func (a *attempt) find(ctx context.Context) (response proto.Message, found bool, err error) {
	rule := a.method.Access.GetFind()
	look := a.engine.api.ByName(rule.GetMethod())
	if look == nil {
		return nil, false, fmt.Errorf("the find rule of %s names no method", a.method.Name)
	}
	request := look.Input.New()
	for _, b := range rule.GetWith() {
		copyField(request, b.GetTo(), a.request.ProtoReflect(), b.GetFrom())
	}
	wanted := a.wants()
	misread, many := false, repeated(look.Output.Descriptor(), rule.GetItems())
	for page := int32(1); page <= maxFindPages; page++ {
		// One thing has no pages, whatever else its answer pages through.
		paged := many && methods.SetPage(request.Interface(), page, findPageSize)
		answer := look.Output.New().Interface()
		reply, err := a.look(ctx, look, request.Interface(), answer)
		misread = misread || reply.Misread
		if err != nil {
			var refusal *upstream.Error
			if errors.As(err, &refusal) && refusal.NotFound() {
				return nil, false, nil // where it would show is nothing
			}
			return nil, false, err
		}
		items := methods.Values(answer.ProtoReflect(), rule.GetItems())
		for _, item := range items {
			if err := a.matchItem(ctx, item.Message(), wanted); err != nil {
				return nil, false, err
			}
		}
		if found := wanted.complete(); found != nil {
			response, err := a.complete(ctx, found, answer)
			if err == nil {
				scrub(response, a.request)
			}
			return response, err == nil, err
		}
		if !paged || len(items) == 0 || methods.LastPage(answer, page) {
			break
		}
	}
	if misread {
		return nil, false, errMisread
	}
	return nil, false, nil
}

// errMisread says that a change was not found where something could not be understood,
// which may be the change: it must not be made again.
var errMisread = errors.New("the vendor's answer could not be understood in full")

// look makes one call to the vendor that changes nothing, or that gives a lost
// secret anew.
func (a *attempt) look(ctx context.Context, m *methods.Method, req, resp proto.Message) (upstream.Reply, error) {
	call, err := a.call(ctx, budget.Reconcile)
	if err != nil {
		return upstream.Reply{}, fmt.Errorf("waiting to look: %w", err)
	}
	reply, err := a.engine.Vendor.Do(ctx, m, req, resp)
	a.engine.observe(ctx, observed(call, reply, err))
	if err != nil {
		return reply, fmt.Errorf("looking with %s: %w", m.Name.Name(), err)
	}
	return reply, nil
}

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
}

func (a *attempt) wants() *wants {
	if a.method.Access.GetReconcile() == pb.Reconcile_RECONCILE_FIND_BY_TAG {
		return &wants{tag: mirror.OperationTag + a.row.ID.String()}
	}
	w := &wants{}
	for _, b := range a.method.Access.GetFind().GetMatch() {
		wanted := want{field: b.GetTo()}
		for _, value := range methods.Strings(a.request, b.GetFrom()) {
			if !slices.Contains(wanted.values, value) { // what is named twice is made once
				wanted.values = append(wanted.values, value)
			}
		}
		switch {
		case len(wanted.values) == 0: // not given: the vendor chose
		case repeated(a.method.Input.Descriptor(), b.GetFrom()):
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
		if methods.String(m, must.field) != must.values[0] {
			return nil
		}
	}
	for _, condition := range a.method.Access.GetFind().GetWhere() {
		if !meets(item, condition) {
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

// meets says whether an item has one of the values that a condition names.
func meets(item protoreflect.Message, condition *pb.Condition) bool {
	for _, v := range methods.Values(item, condition.GetField()) {
		text, _ := v.Interface().(string)
		if number, ok := v.Interface().(protoreflect.EnumNumber); ok {
			fd := methods.Resolve(item.Descriptor(), condition.GetField())
			if known := fd.Enum().Values().ByNumber(number); known != nil {
				text = string(known.Name())
			}
		}
		if slices.Contains(condition.GetValues(), text) {
			return true
		}
	}
	return false
}

// ours says whether an item that looks right was made by this change: not before it
// was sent, and not by another operation.
func (a *attempt) ours(ctx context.Context, item proto.Message, created string) (bool, error) {
	at := methods.Values(item.ProtoReflect(), created)
	if len(at) == 1 && a.row.SentAt != nil {
		if stamp, ok := at[0].Message().Interface().(*timestamppb.Timestamp); ok && stamp.AsTime().Before(a.row.SentAt.Add(-clockSkew)) {
			return false, nil
		}
	}
	path := a.method.Access.GetFind().GetId()
	if path == "" {
		path = "uuid"
	}
	id, err := uuid.Parse(methods.String(item, path))
	if err != nil {
		return true, nil //nolint:nilerr // an item without an id of its own is judged by its time
	}
	other, err := a.engine.Store.ResultOfOther(ctx, dbsql.ResultOfOtherParams{ResourceUUID: &id, ID: a.row.ID, Method: a.row.Method})
	if err != nil {
		return false, fmt.Errorf("looking whose result %s is: %w", id, err)
	}
	return !other, nil
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

// complete makes the response from the items found, what the declared method says of
// the first, and what was asked for: as the rule says, and same-named fields in this order
// of preference.
func (a *attempt) complete(ctx context.Context, found []protoreflect.Message, answer proto.Message) (proto.Message, error) {
	rule := a.method.Access.GetFind()
	response := a.method.Output.New()
	sources := []protoreflect.Message{answer.ProtoReflect(), a.request.ProtoReflect()}
	if rule.GetThen() != "" {
		more, err := a.then(ctx, found[0])
		if err != nil {
			return nil, err
		}
		sources = append([]protoreflect.Message{more}, sources...)
	}
	fields := response.Descriptor().Fields()
	for i := range fields.Len() {
		if methods.Local(fields.Get(i)) {
			continue
		}
		for _, source := range sources {
			if copyField(response, string(fields.Get(i).Name()), source, string(fields.Get(i).Name())) {
				break
			}
		}
	}
	for _, b := range rule.GetAnswer() {
		for _, item := range found {
			fillAnswer(response, b, item)
		}
	}
	return response.Interface(), nil
}

// then asks the declared method about an item.
func (a *attempt) then(ctx context.Context, item protoreflect.Message) (protoreflect.Message, error) {
	rule := a.method.Access.GetFind()
	then := a.engine.api.ByName(rule.GetThen())
	if then == nil {
		return nil, fmt.Errorf("the find rule of %s names no method to go on with", a.method.Name)
	}
	request := then.Input.New()
	takeSameNamed(request, a.request.ProtoReflect())
	for _, b := range rule.GetThenWith() {
		copyField(request, b.GetTo(), item, b.GetFrom())
	}
	more := then.Output.New()
	_, err := a.look(ctx, then, request.Interface(), more.Interface())
	return more, err
}

// fillAnswer sets a response field from an item: to one of its fields, or to the item
// itself, as far as both have the same fields.
func fillAnswer(response protoreflect.Message, b *pb.Binding, item protoreflect.Message) {
	to := response.Descriptor().Fields().ByName(protoreflect.Name(b.GetTo()))
	switch {
	case to == nil:
	case to.IsList():
		for _, v := range methods.Values(item, b.GetFrom()) {
			response.Mutable(to).List().Append(v)
		}
	case b.GetFrom() != "":
		copyField(response, b.GetTo(), item, b.GetFrom())
	case to.Message().FullName() == item.Descriptor().FullName():
		response.Set(to, protoreflect.ValueOfMessage(item))
	default:
		takeSameNamed(response.Mutable(to).Message(), item)
	}
}

// takeSameNamed fills the vendor's fields of a request from those of another by name.
func takeSameNamed(to, from protoreflect.Message) {
	fields := to.Descriptor().Fields()
	for i := range fields.Len() {
		if name := string(fields.Get(i).Name()); !methods.Local(fields.Get(i)) {
			copyField(to, name, from, name)
		}
	}
}

// copyField copies a field of the same type and says whether there was one.
func copyField(to protoreflect.Message, toName string, from protoreflect.Message, fromName string) bool {
	target := to.Descriptor().Fields().ByName(protoreflect.Name(toName))
	source := from.Descriptor().Fields().ByName(protoreflect.Name(fromName))
	if target == nil || source == nil || !from.Has(source) || target.Kind() != source.Kind() ||
		target.Cardinality() == protoreflect.Repeated || source.Cardinality() == protoreflect.Repeated {
		return false
	}
	if target.Message() != nil && target.Message().FullName() != source.Message().FullName() {
		return false
	}
	to.Set(target, from.Get(source))
	return true
}
