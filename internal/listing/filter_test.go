package listing_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/listing"
)

func schema() *listing.Schema {
	byID := listing.Key{Name: "id", SQL: "x.id", Type: "uuid"}
	return &listing.Schema{
		Fields: []listing.Field{
			{Name: "name", Type: listing.Text, SQL: "x.name"},
			{Name: "id", Type: listing.ID, SQL: "x.id"},
			{Name: "time", Type: listing.Time, SQL: "x.at"},
			{Name: "tags", Type: listing.Texts, SQL: "x.tags"},
			{Name: "on", Type: listing.Bool, SQL: "x.is_on"},
			listing.EnumField("outcome", "x.outcome", pb.AuditEvent_Outcome(0).Descriptor().Values()),
			{Name: "team", Type: listing.Text, SQL: "x.team", Key: "x.team_id", Lookup: "(SELECT id FROM teams WHERE name = %s)"},
			{Name: "method", Type: listing.Text, SQL: "x.method", Canonical: strings.ToLower},
		},
		Sortable: []listing.Key{{Name: "name", SQL: "x.name", Type: "text"}, {Name: "time", SQL: "x.at", Type: "timestamptz"}, byID},
		Default:  []listing.Key{{Name: "time", SQL: "x.at", Type: "timestamptz", Desc: true}, byID},
	}
}

const someID = "01890a5d-ac96-774b-bcce-b302099a8057"

func TestFilterBecomesSQL(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for filter, want := range map[string]struct {
		sql  string
		args []any
	}{
		``:                                {sql: `TRUE`},
		"  \t\n ":                         {sql: `TRUE`},
		`name = "a"`:                      {`x.name = $1::text`, []any{"a"}},
		`name="a"`:                        {`x.name = $1::text`, []any{"a"}},
		`name = 'a'`:                      {`x.name = $1::text`, []any{"a"}},
		`name = a`:                        {`x.name = $1::text`, []any{"a"}},
		`name = team`:                     {`x.name = $1::text`, []any{"team"}}, // a value, not the field
		`name = ""`:                       {`x.name = $1::text`, []any{""}},
		`name != "a"`:                     {`(x.name = $1::text) IS NOT TRUE`, []any{"a"}},
		`NOT name = "a"`:                  {`(x.name = $1::text) IS NOT TRUE`, []any{"a"}},
		`-name = "a"`:                     {`(x.name = $1::text) IS NOT TRUE`, []any{"a"}},
		`name >= "a" AND name < "b"`:      {`(x.name >= $1::text AND x.name < $2::text)`, []any{"a", "b"}},
		`name = a AND name = b OR on = c`: {}, // c is no bool
		`name = a AND name = b OR name = c`: {
			`(x.name = $1::text AND (x.name = $2::text OR x.name = $3::text))`, []any{"a", "b", "c"},
		},
		`(name = a AND name = b) OR name = c`: {
			`((x.name = $1::text AND x.name = $2::text) OR x.name = $3::text)`, []any{"a", "b", "c"},
		},
		`NOT (name = a OR name = b)`:  {`((x.name = $1::text OR x.name = $2::text)) IS NOT TRUE`, []any{"a", "b"}},
		`name:"50%_\\x"`:              {`x.name ILIKE $1::text`, []any{`%50\%\_\\x%`}},
		`name:*`:                      {`x.name <> ''`, nil},
		`tags:"prod"`:                 {`$1::text = ANY (x.tags)`, []any{"prod"}},
		`tags:prod`:                   {`$1::text = ANY (x.tags)`, []any{"prod"}},
		`tags:*`:                      {`cardinality(x.tags) > 0`, nil},
		`id = "` + someID + `"`:       {`x.id = $1::uuid`, []any{uuid.MustParse(someID)}},
		`id = ""`:                     {`x.id IS NULL`, nil},
		`id != ""`:                    {`(x.id IS NULL) IS NOT TRUE`, nil},
		`id:*`:                        {`x.id IS NOT NULL`, nil},
		`time > 2026`:                 {},
		`time > "2026-01-01"`:         {},
		`time:*`:                      {`x.at IS NOT NULL`, nil},
		`on = true`:                   {`x.is_on = $1::boolean`, []any{true}},
		`on != "false"`:               {`(x.is_on = $1::boolean) IS NOT TRUE`, []any{false}},
		`outcome = "SUCCEEDED"`:       {`x.outcome = $1::text`, []any{"SUCCEEDED"}},
		`outcome = OUTCOME_SUCCEEDED`: {`x.outcome = $1::text`, []any{"SUCCEEDED"}},
		`team = "payments"`:           {`x.team_id = (SELECT id FROM teams WHERE name = $1::text)`, []any{"payments"}},
		`team = ""`:                   {`x.team_id IS NULL`, nil},
		`team != "a"`:                 {`(x.team_id = (SELECT id FROM teams WHERE name = $1::text)) IS NOT TRUE`, []any{"a"}},
		`team:"pay"`:                  {`x.team ILIKE $1::text`, []any{"%pay%"}},
		`team < "b"`:                  {`x.team < $1::text`, []any{"b"}},
		`method = "A.B"`:              {`x.method = $1::text`, []any{"a.b"}},
		`time >= "2026-01-01T00:00:00Z" AND name = "x"`: {`(x.at >= $1::timestamptz AND x.name = $2::text)`, []any{at, "x"}},
	} {
		t.Run(filter, func(t *testing.T) {
			t.Parallel()
			parsed, err := schema().Filter(filter)
			if want.sql == "" {
				requireInvalid(t, err, "filter")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var args listing.Args
			if got := parsed.SQL(&args); got != want.sql {
				t.Errorf("SQL %s\nwant %s", got, want.sql)
			}
			if diff := cmp.Diff(want.args, args.Values()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNonsenseFiltersAreExplained(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ filter, says string }{
		"unknown field":         {`password = "x"`, "no such field"},
		"a field of a field":    {`name.x = "y"`, "no such field"},
		"a quoted field":        {`"name" = "x"`, "a condition is"},
		"a field alone":         {`name`, "a condition is"},
		"a value alone":         {`"x"`, "a condition is"},
		"a number alone":        {`1`, "a condition is"},
		"true alone":            {`true`, "a condition is"},
		"constants":             {`1 = 1`, "a condition is"},
		"conditions in a row":   {`name = a name = b`, "write AND or OR"},
		"no value":              {`name =`, "ends too early"},
		"no operator":           {`name "x"`, "write AND or OR"},
		"lower case and":        {`name = a and name = b`, "write AND or OR"},
		"ampersands":            {`name = a && name = b`, "write AND or OR"},
		"SQL's operator":        {`name <> "x"`, "cannot be read at column 7"},
		"two equal signs":       {`name == "x"`, "cannot be read at column 7"},
		"an open quote":         {`name = "x`, "unterminated string"},
		"an open parenthesis":   {`(name = "x"`, "expected )"},
		"a closed parenthesis":  {`name = "x")`, "cannot be read"},
		"a number":              {`name = 5`, "quotes"},
		"a number with a point": {`name = 5.5`, "quotes"},
		"a negative number":     {`name = -5`, "quotes"},
		"a composite value":     {`name = (a OR b)`, "one value"},
		"a dotted value":        {`name = a.b`, "one value"},
		"a function":            {`lower("x")`, "no functions"},
		"a function as value":   {`time > timestamp("2026-01-01T00:00:00Z")`, "one value"},
		"a keyword as function": {`AND()`, "no functions"},
		"not as function":       {`NOT()`, "no functions"},
		"not of a value":        {`NOT name`, "a condition is"},
		"not a uuid":            {`id = "x"`, "not a uuid"},
		"a long uuid":           {`id = "urn:uuid:` + someID + `"`, "not a uuid"},
		"an order of uuids":     {`id < "` + someID + `"`, "no order"},
		"part of a uuid":        {`id:"0189"`, "whether there is a value"},
		"not a time":            {`time > "yesterday"`, "RFC 3339"},
		"time that cannot be":   {`time > "2026-02-30T00:00:00Z"`, "RFC 3339"},
		"part of a time":        {`time:"2026"`, "whether there is a value"},
		"unknown enum":          {`outcome = "GREAT"`, "SUCCEEDED"},
		"the enum's zero":       {`outcome = "OUTCOME_UNSPECIFIED"`, "SUCCEEDED"},
		"an enum in lower case": {`outcome = "succeeded"`, "SUCCEEDED"},
		"an order of enums":     {`outcome > "FAILED"`, "no order"},
		"part of an enum":       {`outcome:"FAIL"`, "compare it with ="},
		"a list is equal":       {`tags = "x"`, "colon"},
		"a list is not equal":   {`tags != "x"`, "colon"},
		"a bool in between":     {`on = "maybe"`, "true or false"},
		"zero byte, escaped":    {`name = "a\x00b"`, "zero byte"},
		"zero byte, octal":      {`name = "a\000b"`, "zero byte"},
		"zero byte, as it is":   {"name = \"a\x00b\"", "zero byte"},
		"zero byte, in has":     {"tags:\"a\x00b\"", "zero byte"},
		"not UTF-8":             {"name = \"\xff\"", "invalid UTF-8"},
		"unknown escape":        {`name = "\q"`, "cannot be read"},
		"surrogate":             {`name = "\ud800"`, "cannot be read"},
		"too long":              {`name = "` + strings.Repeat("x", 2000) + `"`, "longer than 2000"},
		"too deep":              {strings.Repeat("(", 51) + `name = "x"` + strings.Repeat(")", 51), "more than 50"},
		"only parentheses":      {strings.Repeat("(", 2000), "more than 50"},
		"functions":             {strings.Repeat("f(", 1000), "more than 50"},
		"functions, not deep":   {strings.Repeat("f(", 50), "cannot be read"},
		"nots":                  {strings.Repeat("NOT ", 500), "cannot be read"},
		"minuses":               {strings.Repeat("-", 2000), "cannot be read"},
		"dots":                  {strings.Repeat("a.", 1000), "cannot be read"},
		"words":                 {strings.Repeat("a ", 1000), "write AND or OR"},
		"comma":                 {`name = "a", name = "b"`, "cannot be read"},
		"semicolon":             {`name = "a"; DROP TABLE resources`, "cannot be read at column 11"},
		"comment":               {`name = "a" -- x`, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := schema().Filter(tc.filter)
			f := requireInvalid(t, err, "filter")
			if !strings.Contains(f.Public, tc.says) || !strings.Contains(f.Public, "fields: name (text), id (uuid)") {
				t.Errorf("the fault says %q, want %q and the fields", f.Public, tc.says)
			}
			if len(f.Public) > 500 {
				t.Errorf("the fault has %d bytes", len(f.Public))
			}
		})
	}
}

func TestManyConditionsAreNotDeep(t *testing.T) {
	t.Parallel()
	for _, operator := range []string{" OR ", " AND "} {
		if _, err := schema().Filter(strings.Join(slicesOf("on=true", 150), operator)); err != nil {
			t.Errorf("150 conditions with%sbetween: %v", operator, err)
		}
	}
	if _, err := schema().Filter(strings.Repeat("(", 50) + `name = ")))((("` + strings.Repeat(")", 50)); err != nil {
		t.Error(err)
	}
}

func slicesOf(text string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = text
	}
	return all
}

// sqlOfFilter is all that a filter's SQL is made of.
var sqlOfFilter = regexp.MustCompile(`^(\$\d+::(text|uuid|timestamptz|boolean)|x\.[a-z_]+|= ANY|cardinality|ILIKE|IS NULL|IS NOT NULL|` +
	`IS NOT TRUE|TRUE|AND|OR|SELECT id FROM teams WHERE name|<> ''|> 0|[=<>]+|[ ()])*$`)

func FuzzFilter(f *testing.F) {
	f.Add(`name = "x' OR '1'='1" OR team = "a"`)
	f.Add(`name:"%_\\" AND NOT (tags:prod OR id = "` + someID + `")`)
	f.Add(`time > "2026-01-01T00:00:00Z" AND outcome != "FAILED"`)
	f.Add("NOT(on=true)")
	f.Add(`f(f(f(`)
	f.Fuzz(func(t *testing.T, filter string) {
		parsed, err := schema().Filter(filter)
		if err != nil {
			requireInvalid(t, err, "filter")
			return
		}
		var args listing.Args
		sql := parsed.SQL(&args)
		if !sqlOfFilter.MatchString(sql) {
			t.Errorf("the SQL of %q has something else in it: %s", filter, sql)
		}
		for i := range args.Values() {
			if !strings.Contains(sql, fmt.Sprintf("$%d::", i+1)) {
				t.Errorf("argument %d of %q is not in %s", i+1, filter, sql)
			}
		}
	})
}
