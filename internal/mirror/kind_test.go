package mirror

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// TestEveryPathOfAKindExists finds typing errors in the table of kinds.
func TestEveryPathOfAKindExists(t *testing.T) {
	t.Parallel()
	for _, k := range kinds() {
		full, summary := k.full.ProtoReflect().Descriptor(), k.summary.ProtoReflect().Descriptor()
		need := func(where string, ok bool) {
			if !ok {
				t.Errorf("%s: %s does not exist", k.name, where)
			}
		}
		c := k.columns
		for _, path := range []string{c.uuid, c.name, c.status, c.region, c.tags, c.version, c.created, c.updated} {
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
		list := methods.API().ByName(k.list)
		need(k.list, list != nil && methods.Resolve(list.Output.Descriptor(), k.items) != nil)
		if k.get != "" {
			get := methods.API().ByName(k.get)
			need(k.get, get != nil && methods.Resolve(get.Input.Descriptor(), k.id) != nil && k.is(methods.Resolve(get.Output.Descriptor(), k.item).Message()))
		}
		need("status "+fmt.Sprint(k.leaving), len(k.leaving) == 0 || c.status != "")
	}
}
