package listing_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/listing"
)

func TestOrderBecomesSQL(t *testing.T) {
	t.Parallel()
	for orderBy, want := range map[string]struct {
		columns, by, after string
		keys               []string
	}{
		"": {
			columns: "x.at AS order_1, x.id AS order_2", by: "order_1 DESC, order_2", keys: []string{"t", "i"},
			after: "(x.at < $1::text::timestamptz OR x.at = $1::text::timestamptz AND (x.id > $2::text::uuid))",
		},
		"name": {
			columns: "x.name AS order_1, x.id AS order_2", by: "order_1, order_2", keys: []string{"n", "i"},
			after: "(x.name, x.id) > ($1::text::text, $2::text::uuid)",
		},
		" name  desc ": {
			columns: "x.name AS order_1, x.id AS order_2", by: "order_1 DESC, order_2 DESC", keys: []string{"n", "i"},
			after: "(x.name, x.id) < ($1::text::text, $2::text::uuid)",
		},
		"id": {
			columns: "x.id AS order_1", by: "order_1", keys: []string{"i"}, after: "(x.id) > ($1::text::uuid)",
		},
		"time desc,name": {
			columns: "x.at AS order_1, x.name AS order_2, x.id AS order_3", by: "order_1 DESC, order_2, order_3",
			keys: []string{"t", "n", "i"},
			after: "(x.at < $1::text::timestamptz OR x.at = $1::text::timestamptz AND " +
				"(x.name > $2::text::text OR x.name = $2::text::text AND (x.id > $3::text::uuid)))",
		},
	} {
		t.Run(orderBy, func(t *testing.T) {
			t.Parallel()
			order, err := schema().Order(orderBy)
			if err != nil {
				t.Fatal(err)
			}
			var args listing.Args
			got := []string{order.Columns(), order.By(), order.After(want.keys, &args)}
			if diff := cmp.Diff([]string{want.columns, want.by, want.after}, got); diff != "" {
				t.Error(diff)
			}
			if first := order.After(nil, &args); first != "TRUE" {
				t.Errorf("the first page is %s", first)
			}
		})
	}
}

func TestNonsenseOrdersAreExplained(t *testing.T) {
	t.Parallel()
	for name, orderBy := range map[string]string{
		"unknown field":    "password",
		"not sortable":     "tags",
		"twice":            "name, name desc",
		"unknown way":      "name down",
		"upper case":       "name DESC",
		"a comma too many": "name,",
		"only a comma":     ",",
		"injection":        "name; DROP TABLE resources",
		"comment":          "name--",
		"subquery":         "(SELECT 1)",
		"number":           "1",
		"three words":      "name asc desc",
		"too long":         "name," + strings.Repeat(" ", 200) + "time",
		"quoted":           `"name"`,
		"zero byte":        "name\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := schema().Order(orderBy)
			if f := requireInvalid(t, err, "order_by"); !strings.HasSuffix(f.Public, "fields: name, time, id") {
				t.Errorf("the fault %q does not say which fields there are", f.Public)
			}
		})
	}
}

type row struct{ keys []string }

func (r row) SortKeys() []string { return r.keys }

func TestPages(t *testing.T) {
	t.Parallel()
	tokens := listing.NewTokens(testKey())
	req := &pb.ListAgentsRequest{PageSize: 2, Filter: "name = x", OrderBy: "name"}
	page, err := tokens.Open(schema(), req)
	if err != nil {
		t.Fatal(err)
	}
	if page.Size != 2 || page.After != nil {
		t.Errorf("the first page is %+v", page)
	}
	rows, next := listing.Cut(tokens, page, []row{{[]string{"a", "1"}}, {[]string{"b", "2"}}, {[]string{"c", "3"}}})
	if len(rows) != 2 || next == "" {
		t.Fatalf("%d rows and token %q", len(rows), next)
	}
	if _, last := listing.Cut(tokens, page, rows); last != "" {
		t.Error("the last page has a token")
	}

	req.PageToken, req.PageSize = next, 0
	if page, err = tokens.Open(schema(), req); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "2"}, page.After); diff != "" || page.Size != listing.DefaultSize {
		t.Errorf("the next page is %+v: %s", page, diff)
	}
	for name, other := range map[string]*pb.ListAgentsRequest{
		"another filter": {Filter: "name = y", OrderBy: "name", PageToken: next},
		"another order":  {Filter: "name = x", OrderBy: "name desc", PageToken: next},
		"only deployed":  {Filter: "name = x", OrderBy: "name", PageToken: next, OnlyDeployed: new(bool)},
	} {
		if _, err := tokens.Open(schema(), other); err == nil {
			t.Errorf("%s: the token was taken", name)
		} else {
			requireInvalid(t, err, "page_token")
		}
	}
	_, err = tokens.Open(schema(), &pb.ListResourcesRequest{Filter: "name = x", PageToken: next})
	requireInvalid(t, err, "page_token")
	for _, size := range []int32{-1, 1001} {
		_, err = tokens.Open(schema(), &pb.ListAgentsRequest{PageSize: size})
		requireInvalid(t, err, "page_size")
	}
	// Made when the order had fewer keys.
	req.PageToken = tokens.Encode(listing.ScopeOf(req), "only one")
	_, err = tokens.Open(schema(), req)
	requireInvalid(t, err, "page_token")
}
