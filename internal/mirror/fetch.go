package mirror

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// fetched is an answer of the vendor, shared by those who asked for it.
type fetched struct {
	resp  proto.Message
	begun time.Time
}

// Fetch asks the vendor for what is not mirrored and fills resp with its answer,
// without secrets. Callers page with page_size and page_token; the vendor's own
// page fields are refused. Resources that the answer shows whole are stored.
func (m *Mirror) Fetch(ctx context.Context, caller identity.Caller, req, resp proto.Message) error {
	return m.fetch(ctx, caller, req, resp, m.keepFetched)
}

// fetch is the same, with the answer given to keep before anybody has it.
func (m *Mirror) fetch(
	ctx context.Context, caller identity.Caller, req, resp proto.Message, keep func(context.Context, fetched) error,
) error {
	method := m.api.ByRequest(req)
	if method == nil || !method.Upstream() || method.Change() {
		return fmt.Errorf("%s is not the request of a read", req.ProtoReflect().Descriptor().FullName())
	}
	if err := ownPages(req); err != nil {
		return err
	}
	ask := proto.Clone(req)
	page, err := m.openFetch(method, ask)
	if err != nil {
		return err
	}
	key, err := encode(ask)
	if err != nil {
		return err
	}
	answer, err := shared(ctx, m, "fetch "+string(method.Name)+" "+string(key), func(ctx context.Context) (fetched, error) {
		f := fetched{resp: method.Output.New().Interface()}
		told, err := m.ask(ctx, m.waiting(budget.Read, teamOf(caller)), method, ask, f.resp)
		if err != nil {
			return f, err
		}
		f.begun = told.begun
		redact(f.resp)
		return f, keep(ctx, f)
	})
	if err != nil {
		return fmt.Errorf("asking the vendor for %s: %w", method.Name, asFault(err))
	}
	proto.Reset(resp)
	proto.Merge(resp, answer.resp)
	if err := m.hideWithin(ctx, caller, resp); err != nil {
		return err
	}
	setMessage(resp, "freshness", fresh(&answer.begun, pb.Freshness_SOURCE_VENDOR, false))
	if page != nil {
		page.close(m.tokens, resp)
	}
	return nil
}

// keepFetched brings resources that an answer shows whole into our copy.
func (m *Mirror) keepFetched(ctx context.Context, f fetched) error {
	var failure error
	f.resp.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() == nil || fd.IsList() || fd.IsMap() {
			return true
		}
		for _, k := range m.kinds {
			body := v.Message().Interface()
			id, err := k.identify(body)
			if err != nil || !k.is(fd.Message()) {
				continue
			}
			failure = m.store.Tx(ctx, db.Loose, func(q *db.Queries) error {
				_, err := m.keep(ctx, q, k, id, k.storable(body), f.begun)
				return err
			})
			break
		}
		return failure == nil
	})
	if failure != nil {
		return fmt.Errorf("storing what the vendor showed: %w", failure)
	}
	return nil
}

// fetchPage is a page of the vendor's, asked for by our page fields.
type fetchPage struct {
	scope      string
	page, size int32
}

// openFetch turns our page fields into the vendor's; nil if the method has none.
func (m *Mirror) openFetch(method *methods.Method, ask proto.Message) (*fetchPage, error) {
	ours, ok := ask.(interface {
		GetPageSize() int32
		GetPageToken() string
	})
	if !ok {
		return nil, nil //nolint:nilnil // not a list
	}
	p := &fetchPage{scope: listing.ScopeOf(ask), page: 1, size: ours.GetPageSize()}
	if p.size == 0 {
		p.size = listing.DefaultSize
	}
	if p.size < 0 || p.size > vendorPage {
		return nil, fault.Invalid("page_size", "must be 1 to %d, or 0 for %d", vendorPage, listing.DefaultSize)
	}
	if token := ours.GetPageToken(); token != "" {
		values, err := m.tokens.Decode(token, p.scope)
		if err != nil {
			return nil, err
		}
		if len(values) != 2 {
			return nil, fault.Invalid("page_token", "is of another version; start again without it")
		}
		// The vendor counts pages, so all pages of a list have the size of the first.
		page, pageErr := strconv.ParseInt(values[0], 10, 32)
		size, sizeErr := strconv.ParseInt(values[1], 10, 32)
		if pageErr != nil || sizeErr != nil {
			return nil, fault.Invalid("page_token", "is of another version; start again without it")
		}
		p.page, p.size = int32(page), int32(size)
	}
	for _, field := range []string{"page_size", "page_token", "max_staleness"} {
		clearAt(ask.ProtoReflect(), field)
	}
	if !methods.SetPage(ask, p.page, p.size) {
		return nil, fmt.Errorf("%s takes our page fields and has none of the vendor's", method.Name)
	}
	return p, nil
}

// close fills in our page fields from the vendor's.
func (p *fetchPage) close(tokens *listing.Tokens, resp proto.Message) {
	list, ok := resp.(paged)
	if !ok {
		return
	}
	if countItems(resp) > 0 && p.page < vendorPages && !methods.LastPage(resp, p.page) {
		set(resp, "next_page_token", tokens.Encode(p.scope, strconv.Itoa(int(p.page)+1), strconv.Itoa(int(p.size))))
	}
	if fd := resp.ProtoReflect().Descriptor().Fields().ByName("total_size"); fd != nil && fd.Kind() == protoreflect.Int32Kind {
		resp.ProtoReflect().Set(fd, protoreflect.ValueOfInt32(list.GetMeta().GetTotal()))
	}
}

// countItems is how many messages are in the one list of a response.
func countItems(resp proto.Message) int {
	n := 0
	resp.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.IsList() && fd.Message() != nil {
			n += v.List().Len()
		}
		return true
	})
	return n
}

// setMessage sets a message field by its name, if the message has it.
func setMessage(m proto.Message, field string, value proto.Message) {
	fd := m.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(field))
	if fd != nil && fd.Message() != nil && fd.Message().FullName() == value.ProtoReflect().Descriptor().FullName() {
		m.ProtoReflect().Set(fd, protoreflect.ValueOfMessage(value.ProtoReflect()))
	}
}
