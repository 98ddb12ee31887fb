package e2e_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// withParts is a script in which the vendor also shows what a request names as parts of its
// first target: before the service changes one of them, it looks whether it is.
func withParts(m *methods.Method, req proto.Message, script map[string]func(arrival) reply) map[string]func(arrival) reply {
	part := m.Access.GetPart()
	if part == nil {
		return script
	}
	var parts []any
	for _, id := range methods.Strings(req, part.GetField()) {
		parts = append(parts, map[string]any{"uuid": id})
	}
	var answer any = parts
	for _, field := range slices.Backward(strings.Split(part.GetItems(), ".")) {
		answer = map[string]any{field: answer}
	}
	shows := methods.API().ByName(part.GetMethod())
	all := maps.Clone(script)
	all[shows.Verb+" "+shows.Path] = always(http.StatusOK, answer)
	return all
}
