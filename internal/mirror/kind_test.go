package mirror

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// TestEveryPathOfAKindExists finds typing errors in the table of kinds.
func TestEveryPathOfAKindExists(t *testing.T) {
	t.Parallel()
	all := kinds()
	for _, k := range all {
		full, summary := k.full.ProtoReflect().Descriptor(), k.summary.ProtoReflect().Descriptor()
		need := func(where string, ok bool) {
			if !ok {
				t.Errorf("%s: %s does not exist", k.name, where)
			}
		}
		c := k.columns
		for _, path := range []string{c.uuid, c.name, c.status, c.region, c.tags, c.version, c.created, c.updated, c.deleted} {
			need("column "+path, path == "" || methods.Resolve(full, path) != nil && methods.Resolve(summary, path) != nil)
		}
		for name, path := range k.attributes {
			need("attribute "+name, methods.Resolve(full, path) != nil)
		}
		for _, path := range slices.Concat(k.volatile, k.stamps) {
			need("path "+path, methods.Resolve(full, path) != nil)
		}
		for _, path := range k.unversioned {
			need("unversioned "+path, methods.Resolve(full, path) != nil && methods.Resolve(summary, path) != nil)
		}
		for _, parts := range []map[string][]string{k.related, k.compared} {
			for path, keep := range parts {
				for _, name := range keep {
					need(path+"."+name, methods.Resolve(full, path+"."+name) != nil)
				}
			}
		}
		for field, changing := range k.attached {
			need("attached "+field, full.Fields().ByName(protoreflect.Name(field)) != nil)
			for _, name := range changing {
				m := methods.API().ByName(name)
				need("method "+name, m != nil && m.Change() && string(m.Name) == methods.Package+"."+name)
			}
		}
		lists := slices.Clone(k.others)
		if k.list != "" {
			lists = append(lists, k.list)
			list := methods.API().ByName(k.list)
			need(k.list, list != nil && methods.Resolve(list.Output.Descriptor(), k.items) != nil)
		}
		for _, name := range lists {
			m := methods.API().ByName(name)
			need("list "+name, m != nil && itemsField(k, m) != nil && string(m.Name) == methods.Package+"."+name)
		}
		for field, from := range k.beside {
			get := methods.API().ByName(k.get)
			need("beside "+field, methods.Resolve(full, field) != nil && methods.Local(methods.Resolve(full, field)) &&
				methods.Resolve(get.Output.Descriptor(), from) != nil)
		}
		for path, name := range k.neighbours {
			around := slices.IndexFunc(all, func(other *kind) bool { return other.name == name })
			need("neighbour "+path, methods.Resolve(full, path) != nil && around >= 0)
		}
		if k.part != nil {
			whole := slices.IndexFunc(all, func(other *kind) bool { return other.name == k.part.kind })
			need("part "+k.part.path, whole >= 0 && methods.Resolve(summary, k.part.path) != nil)
		}
		if len(k.passing) > 0 || len(k.ends) > 0 || k.over != "" {
			status := methods.Resolve(full, c.status)
			need("status "+c.status, status != nil && status.Enum() != nil)
			for _, name := range slices.Concat(k.passing, slices.Collect(maps.Keys(k.ends)), []string{k.over}) {
				need("status "+name, name == "" || status.Enum().Values().ByName(protoreflect.Name(name)) != nil)
			}
		}
		if k.get != "" {
			get := methods.API().ByName(k.get)
			need(k.get, get != nil && methods.Resolve(get.Input.Descriptor(), k.id) != nil && k.is(methods.Resolve(get.Output.Descriptor(), k.item).Message()))
		}
		need("status "+fmt.Sprint(k.leaving), len(k.leaving) == 0 || c.status != "")
	}
}
