package listing

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Schema says what callers may filter and order a list by. Its SQL is trusted: it
// is made of the program's constants.
type Schema struct {
	Fields []Field
	// Sortable are the keys that callers may order by.
	Sortable []Key
	// Default is the order if the caller names none. Its last key is unique, and
	// ends every other order as well.
	Default []Key
}

// Type is what a field is compared with.
type Type string

// The types; their names are shown to callers.
const (
	// Text is compared as a whole or (:) searched in, whatever the case.
	Text Type = "text"
	// ID is a uuid. "" is the absent one.
	ID Type = "uuid"
	// Time is compared with a time in RFC 3339.
	Time Type = "timestamp"
	// Enum is one of the field's values.
	Enum Type = "enum"
	// Bool is true or false.
	Bool Type = "bool"
	// Texts is a list of texts, of which (:) one is looked for.
	Texts Type = "list of text"
	// Words are those of a text, of which (:) some are looked for, in any order and case. SQL is
	// the expression that an index has as a tsvector.
	Words Type = "words"
)

// Field is one thing that callers may filter by.
type Field struct {
	Name string
	Type Type
	// SQL is the expression that is compared. NULL is absent; texts are never NULL.
	SQL string
	// Lookup and Key are for texts that name a row elsewhere, so that equality can
	// use the index of the reference: Key is the reference, and Lookup the expression
	// that finds it, with %s for the name. The name "" is of no row: Key is NULL.
	Key, Lookup string
	// Values are those of an enum, as they are stored; Prefix may precede them in filters.
	Values []string
	Prefix string
	// Canonical, if there is one, makes the stored form of a text that is compared as a whole.
	Canonical func(string) string
}

// EnumField is a field whose column holds the names of a proto enum's values
// without their prefix, as in SUCCEEDED for OUTCOME_SUCCEEDED.
func EnumField(name, sql string, values protoreflect.EnumValueDescriptors) Field {
	const zero = "UNSPECIFIED"
	f := Field{Name: name, Type: Enum, SQL: sql, Prefix: strings.TrimSuffix(string(values.Get(0).Name()), zero)}
	for i := range values.Len() {
		if stored := strings.TrimPrefix(string(values.Get(i).Name()), f.Prefix); stored != zero {
			f.Values = append(f.Values, stored)
		}
	}
	return f
}

func (s *Schema) field(name string) (Field, bool) {
	i := slices.IndexFunc(s.Fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return Field{}, false
	}
	return s.Fields[i], true
}

// Has says whether there is a field of that name.
func (s *Schema) Has(name string) bool {
	_, ok := s.field(name)
	return ok
}

// names lists the fields with their types, for those who asked for another.
func (s *Schema) names() string {
	names := make([]string, 0, len(s.Fields))
	for _, f := range s.Fields {
		names = append(names, f.Name+" ("+string(f.Type)+")")
	}
	return strings.Join(names, ", ")
}

// Args are the arguments of one SQL statement.
type Args struct{ values []any }

// Add makes v an argument and is its place in the SQL, such as "$3".
func (a *Args) Add(v any) string {
	a.values = append(a.values, v)
	return "$" + strconv.Itoa(len(a.values))
}

// Values are the arguments, in the order of their places.
func (a *Args) Values() []any { return a.values }
