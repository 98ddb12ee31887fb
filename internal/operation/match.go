package operation

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// met says whether an item is as wanted.
func (w want) met(item proto.Message) bool {
	got := texts(item, w.field)
	switch {
	case w.set:
		slices.Sort(got)
		return slices.Equal(slices.Compact(got), slices.Sorted(slices.Values(w.values)))
	case len(got) == 0:
		return false
	case w.begins:
		return strings.HasPrefix(got[0], w.values[0])
	}
	return got[0] == w.values[0]
}

// listed says whether a field of the items that the find rule looks at is a list.
func (a *attempt) listed(path string) bool {
	rule := a.method.Access.GetFind()
	look := a.engine.api.ByName(rule.GetMethod())
	if look == nil {
		return false
	}
	items := methods.Resolve(look.Output.Descriptor(), rule.GetItems())
	return items != nil && items.Message() != nil && repeated(items.Message(), path)
}

// texts are the values at a path, numbers among them, as texts. Empty ones are left out.
func texts(m proto.Message, path string) []string {
	var all []string
	for _, v := range methods.Values(m.ProtoReflect(), path) {
		if text := fmt.Sprint(v.Interface()); text != "" {
			all = append(all, text)
		}
	}
	return all
}
