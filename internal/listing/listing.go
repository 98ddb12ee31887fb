// Package listing turns what callers write into requests for lists (filters after
// AIP-160, orders after AIP-132, page tokens) into SQL. Nothing that a caller
// wrote becomes part of the SQL's text: fields and operators are looked up, and
// values are arguments.
//
// Pages are keyset pages: a token holds the sort keys of the last row answered,
// and the next page begins after them. Rows that come and go in between neither
// shift nor repeat others.
package listing

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/agentsvc/agentsvc/internal/fault"
)

const (
	// DefaultSize is how many rows a page has if the request says 0.
	DefaultSize = 50
	// MaxSize is how many rows a page may have.
	MaxSize = 1000
)

// Request is any request for a page of a list. One with an order_by is ordered by it.
type Request interface {
	proto.Message
	GetPageSize() int32
	GetPageToken() string
	GetFilter() string
}

// Page is a request that was understood.
type Page struct {
	Filter Filter
	Order  Order
	// After are the sort keys of the row before the page; nil for the first page.
	After []string
	// Size is how many rows the page may have. One more is read, which tells whether
	// there is another page.
	Size  int
	scope string
}

// Open understands a request for rows of the schema. What it does not understand
// is a fault about the request's field.
func (t *Tokens) Open(schema *Schema, req Request) (Page, error) {
	page := Page{Size: int(req.GetPageSize()), scope: ScopeOf(req)}
	switch {
	case page.Size == 0:
		page.Size = DefaultSize
	case page.Size < 0 || page.Size > MaxSize:
		return Page{}, fault.Invalid("page_size", "must be 1 to %d, or 0 for %d", MaxSize, DefaultSize)
	}
	var err error
	if page.Filter, err = schema.Filter(req.GetFilter()); err != nil {
		return Page{}, err
	}
	orderBy := ""
	if ordered, ok := req.(interface{ GetOrderBy() string }); ok {
		orderBy = ordered.GetOrderBy()
	}
	if page.Order, err = schema.Order(orderBy); err != nil {
		return Page{}, err
	}
	if req.GetPageToken() == "" {
		return page, nil
	}
	if page.After, err = t.Decode(req.GetPageToken(), page.scope); err != nil {
		return Page{}, err
	}
	if len(page.After) != len(page.Order.keys) {
		return Page{}, refused() // made before the order got another key
	}
	return page, nil
}

// Row is a row that knows its sort keys, in the page's order.
type Row interface{ SortKeys() []string }

// Cut takes the row that was read beyond the page off its end, and answers the
// token of the next page; "" if this is the last.
func Cut[R Row](t *Tokens, page Page, rows []R) ([]R, string) {
	if len(rows) <= page.Size {
		return rows, ""
	}
	rows = rows[:page.Size]
	return rows, t.Encode(page.scope, rows[page.Size-1].SortKeys()...)
}

// ScopeOf is the scope of a list request's page tokens: everything in it that
// decides which rows come in which order. Who asks is no part of it, because each
// page is limited anew to what its caller may see.
func ScopeOf(req proto.Message) string {
	same := proto.Clone(req).ProtoReflect()
	for _, name := range []protoreflect.Name{"page_size", "page_token", "max_staleness"} {
		if fd := same.Descriptor().Fields().ByName(name); fd != nil {
			same.Clear(fd)
		}
	}
	// A clone of a message that arrived always marshals; if it did not, the token
	// would fit the method's other requests of that kind, which is no harm.
	rest, _ := proto.MarshalOptions{Deterministic: true, AllowPartial: true}.Marshal(same.Interface())
	return RequestScope(string(same.Descriptor().FullName()), string(rest))
}
