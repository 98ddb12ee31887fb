package audit

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// FilterOf is the filter that a URL's parameters say: `since` and `until` (which does not count any more), each
// field of a filter by its name, and `filter` for the rest; all have to hold. Of reason and words, a part is looked for.
// A parameter that means nothing, or is there twice, is a fault: whoever misspells one must not get more than they
// asked for. A token is never taken from a URL.
func FilterOf(query url.Values) (string, error) {
	schema := db.AuditSchema()
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		values := query[name]
		if len(values) != 1 {
			return "", fault.Invalid(name, "is there more than once")
		}
		value := values[0]
		switch {
		case name == "filter":
			if strings.TrimSpace(value) != "" {
				parts = append(parts, "("+value+")")
			}
		case name == "since":
			parts = append(parts, "time >= "+quote(value))
		case name == "until":
			parts = append(parts, "time < "+quote(value))
		case name == "reason" || name == "words":
			parts = append(parts, name+":"+quote(value))
		case name != "time" && schema.Has(name):
			parts = append(parts, name+" = "+quote(value))
		default:
			return "", fault.Invalid("query",
				"there is no parameter of that name: use since, until, filter or a field that filters have; the token goes into the header")
		}
	}
	return strings.Join(parts, " AND "), nil
}

func quote(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}
