package operation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

const (
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
	seen, err := a.find(ctx)
	switch {
	case err != nil:
		return a.notSeen(ctx, err)
	case seen.response != nil:
		return a.settle(ctx, ending{response: seen.response, shown: a.shown(ctx, seen.response)})
	case !a.quiet():
		return a.park(ctx, a.engine.Quiet, true)
	case seen.some != nil:
		return a.settle(ctx, ending{failure: a.partly(seen.some)})
	}
	return a.send(ctx)
}

// sighting is what a look showed.
type sighting struct {
	// response is what the vendor would have answered; nil if not all is there.
	response proto.Message
	// some are the ids of what is there of several things, if not all are. To send the
	// change again would make these twice.
	some []string
}

// partly tells a caller that the vendor did a part of the change.
func (a *attempt) partly(ids []string) *fault.Error {
	failure := a.unknown(errors.New("the vendor did a part of the change"))
	found := strings.Join(ids, ", ")
	failure.Public = fmt.Sprintf("%s was sent and the vendor's reply was lost; of what it makes, only these are there: %s. Repeat it for the others alone",
		a.method.Name.Name(), found)
	failure.Metadata = map[string]string{"found": found}
	return failure
}

// notSeen is for a look that failed, and tells nothing.
func (a *attempt) notSeen(ctx context.Context, err error) error {
	a.engine.Log.InfoContext(ctx, "looking for the effect of a change", slog.String("operation", a.row.ID.String()), slog.Any("error", err))
	if a.exhausted() && !a.insists() {
		return a.settle(ctx, ending{failure: a.unknown(err)})
	}
	return a.park(ctx, a.engine.backoff(int(a.row.Claims)), false)
}

// conflicted is for a 409 to a change that was sent before and not found: either that
// sending had its effect at the last moment, or something older is in the way, such as a job
// that has not ended. What does not show now, nor after the quiet time, was refused. The lease is
// kept meanwhile, since the row has no place for the refusal; if it is lost, all begins anew.
func (a *attempt) conflicted(ctx context.Context, refusal *upstream.Error) error {
	for again := false; ; again = true {
		seen, err := a.find(ctx)
		switch {
		case err != nil:
			return a.notSeen(ctx, err)
		case seen.response != nil:
			return a.settle(ctx, ending{response: seen.response, shown: a.shown(ctx, seen.response)})
		case again && seen.some != nil:
			return a.settle(ctx, ending{failure: a.partly(seen.some)})
		case again:
			return a.settle(ctx, ending{failure: refusal.Fault()})
		}
		if !pause(ctx, a.engine.Quiet) {
			return context.Cause(ctx)
		}
	}
}

// quiet says whether the change was looked for in vain before, so long ago that what
// did not show since will not show any more. The database's clock stamped both times.
func (a *attempt) quiet() bool {
	return a.row.MissedAt != nil && a.claimed().Sub(*a.row.MissedAt) >= a.engine.Quiet
}

// find looks for the effect of the change. What does not say all that the vendor's answer
// would have said is not understood.
func (a *attempt) find(ctx context.Context) (sighting, error) {
	seen, err := a.seek(ctx)
	if seen.response != nil && a.lacking(seen.response) != "" {
		return sighting{}, errMisread
	}
	return seen, err
}

// seek is find, and completes the response as the vendor would have answered.
func (a *attempt) seek(ctx context.Context) (sighting, error) {
	rule := a.method.Access.GetFind()
	look := a.engine.api.ByName(rule.GetMethod())
	if look == nil {
		return sighting{}, fmt.Errorf("the find rule of %s names no method", a.method.Name)
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
				return sighting{}, nil // where it would show is nothing
			}
			return sighting{}, err
		}
		items := methods.Values(answer.ProtoReflect(), rule.GetItems())
		for _, item := range items {
			if err := a.matchItem(ctx, item.Message(), wanted); err != nil {
				return sighting{}, err
			}
		}
		if found := wanted.complete(); found != nil {
			response, err := a.complete(ctx, found, answer)
			if err != nil {
				return sighting{}, err
			}
			scrub(response, a.request)
			return sighting{response: response}, nil
		}
		if !paged || len(items) == 0 || methods.LastPage(answer, page) {
			break
		}
	}
	if misread {
		return sighting{}, errMisread
	}
	return sighting{some: a.some(wanted)}, nil
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
