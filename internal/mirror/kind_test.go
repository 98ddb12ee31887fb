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
		need("besideOf "+k.besideOf, k.besideOf == "" || methods.Resolve(full, k.besideOf) != nil && methods.Resolve(summary, k.besideOf) != nil)
		for field, from := range k.beside {
			get := methods.API().ByName(k.get)
			need("beside "+field, methods.Resolve(full, field) != nil && methods.Local(methods.Resolve(full, field)) &&
				methods.Resolve(get.Output.Descriptor(), from) != nil)
		}
		for _, n := range k.neighbours {
			part := full
			if n.path != "" {
				at := methods.Resolve(full, n.path)
				need("neighbour "+n.path, at != nil)
				if at == nil {
					continue
				}
				part = at.Message()
			}
			for _, name := range n.kinds {
				need("kind "+name+" of a neighbour", slices.ContainsFunc(all, func(other *kind) bool { return other.name == name }))
			}
			for _, field := range slices.Concat(n.tied, n.telling, []string{n.uuid}) {
				need("neighbour "+n.path+"."+field, field == "" || methods.Resolve(part, field) != nil)
			}
			need("uuid of neighbour "+n.path, n.uuid != "" || n.path != "" && len(n.kinds) > 0)
		}
		for field, name := range k.mentions {
			need("mention "+field, full.Fields().ByName(protoreflect.Name(field)) != nil && k.whole())
			need("kind "+name+" of a mention", slices.ContainsFunc(all, func(other *kind) bool { return other.name == name }))
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

// TestEveryNeighbourIsDeclared walks what the kinds' messages hold: a part that is itself of a
// mirrored kind may be another team's.
func TestEveryNeighbourIsDeclared(t *testing.T) {
	t.Parallel()
	own := map[string]string{"agent api_key_infos": "keys of the agent itself, though they look like keys of models"}
	all := kinds()
	met := map[string]bool{}
	var walk func(k *kind, d protoreflect.MessageDescriptor, within string, above []protoreflect.FullName)
	walk = func(k *kind, d protoreflect.MessageDescriptor, within string, above []protoreflect.FullName) {
		for i := range d.Fields().Len() {
			fd := d.Fields().Get(i)
			if fd.Message() == nil || slices.Contains(above, fd.Message().FullName()) {
				continue
			}
			path := within + string(fd.Name())
			at := slices.IndexFunc(all, func(other *kind) bool { return other.is(fd.Message()) || other.isSummary(fd.Message()) })
			switch {
			case at < 0:
				walk(k, fd.Message(), path+".", append(above, d.FullName()))
			case own[k.name+" "+path] != "":
				met[k.name+" "+path] = true
			case all[at].part != nil && all[at].part.kind == k.name: // it has the same owner
			case !slices.ContainsFunc(k.neighbours, func(n neighbour) bool { return n.path == path && kindOf(all, n.kinds[0]).is(fd.Message()) }):
				t.Errorf("%s shows a %s at %s to whoever sees it", k.name, all[at].name, path)
			}
		}
	}
	for _, k := range all {
		walk(k, k.full.ProtoReflect().Descriptor(), "", nil)
		walk(k, k.summary.ProtoReflect().Descriptor(), "", nil)
	}
	if len(met) != len(own) {
		t.Errorf("of the exceptions %v only %v are met", own, met)
	}
}

func kindOf(all []*kind, name string) *kind {
	return all[slices.IndexFunc(all, func(k *kind) bool { return k.name == name })]
}
