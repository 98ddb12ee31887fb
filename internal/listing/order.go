package listing

import (
	"slices"
	"strconv"
	"strings"

	"go.einride.tech/aip/ordering"

	"github.com/agentsvc/agentsvc/internal/fault"
)

// Key is one thing that rows are sorted by.
type Key struct {
	// Name is what callers call it.
	Name string
	// SQL is the expression that is sorted by. It is never NULL: a NULL is neither
	// before nor after a row, so a page could not begin there.
	SQL string
	// Type is its SQL type, whose text form is exact.
	Type string
	Desc bool
}

// Order is a total order of rows: its last key is unique.
type Order struct{ keys []Key }

// maxOrder is how long an order_by may be; naming every field takes less.
const maxOrder = 200

// Order understands an order_by such as "updated_at desc, name". What it does not
// understand is a fault about order_by.
func (s *Schema) Order(orderBy string) (Order, error) {
	if strings.TrimSpace(orderBy) == "" {
		return Order{keys: s.Default}, nil
	}
	var parsed ordering.OrderBy
	if len(orderBy) > maxOrder || parsed.UnmarshalString(orderBy) != nil {
		return Order{}, s.badOrder("write fields with commas between, each with desc after it if it descends")
	}
	var keys []Key
	for _, f := range parsed.Fields {
		i := slices.IndexFunc(s.Sortable, func(k Key) bool { return k.Name == f.Path })
		if i < 0 {
			return Order{}, s.badOrder("there is no such field to order by")
		}
		if slices.ContainsFunc(keys, func(k Key) bool { return k.Name == f.Path }) {
			return Order{}, s.badOrder(f.Path + " is there twice")
		}
		key := s.Sortable[i]
		key.Desc = f.Desc
		keys = append(keys, key)
	}
	unique := s.Default[len(s.Default)-1]
	if !slices.ContainsFunc(keys, func(k Key) bool { return k.Name == unique.Name }) {
		// In the direction of the key before it, so that an index can serve both.
		unique.Desc = keys[len(keys)-1].Desc
		keys = append(keys, unique)
	}
	return Order{keys: keys}, nil
}

func (s *Schema) badOrder(problem string) error {
	names := make([]string, 0, len(s.Sortable))
	for _, k := range s.Sortable {
		names = append(names, k.Name)
	}
	return fault.Invalid("order_by", "%s; fields: %s", problem, strings.Join(names, ", "))
}

// Columns are the sort keys as columns, named order_1 and so on.
func (o Order) Columns() string {
	return o.join(func(i int, k Key) string { return k.SQL + " AS " + column(i) })
}

// Texts is an array of the sort keys as text, from columns of the table.
func (o Order) Texts(table string) string {
	return "ARRAY[" + o.join(func(i int, _ Key) string { return table + "." + column(i) + "::text" }) + "]"
}

// By is what stands after ORDER BY. The columns are those of [Order.Columns].
func (o Order) By() string {
	return o.join(func(i int, k Key) string {
		if k.Desc {
			return column(i) + " DESC"
		}
		return column(i)
	})
}

func column(i int) string { return "order_" + strconv.Itoa(i+1) }

func (o Order) join(each func(int, Key) string) string {
	parts := make([]string, 0, len(o.keys))
	for i, k := range o.keys {
		parts = append(parts, each(i, k))
	}
	return strings.Join(parts, ", ")
}

// After is the condition for rows after the one with the sort keys.
func (o Order) After(keys []string, args *Args) string {
	if len(keys) == 0 {
		return "TRUE"
	}
	places := make([]string, len(o.keys))
	for i, k := range o.keys {
		places[i] = args.Add(keys[i]) + "::text::" + k.Type
	}
	if o.oneWay() {
		// Indexes understand this form best.
		left := o.join(func(_ int, k Key) string { return k.SQL })
		return "(" + left + ") " + beyond(o.keys[0]) + " (" + strings.Join(places, ", ") + ")"
	}
	last := len(o.keys) - 1
	condition := o.keys[last].SQL + " " + beyond(o.keys[last]) + " " + places[last]
	for i := last - 1; i >= 0; i-- {
		k := o.keys[i]
		condition = k.SQL + " " + beyond(k) + " " + places[i] + " OR " + k.SQL + " = " + places[i] + " AND (" + condition + ")"
	}
	return "(" + condition + ")"
}

func (o Order) oneWay() bool {
	return !slices.ContainsFunc(o.keys, func(k Key) bool { return k.Desc != o.keys[0].Desc })
}

func beyond(k Key) string {
	if k.Desc {
		return "<"
	}
	return ">"
}
