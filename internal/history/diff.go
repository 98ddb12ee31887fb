package history

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/mirror"
)

// keyOf is the field by which the elements of an agent's lists are told apart; "" where the
// elements tell themselves. Lists that are not here are compared as a whole.
func keyOf() map[string]string {
	return map[string]string{
		"child_agents": "uuid", "functions": "name", "guardrails": "guardrail_uuid", "knowledge_bases": "uuid", "mcp_servers": "server_label",
		"tags": "", "vpc_egress_ips": "",
	}
}

// texts are fields of which the words are compared.
func texts() []string { return []string{"instruction", "description"} }

// untold are fields of no meaning of their own: names of others, and the stamps.
func untold() []string { return []string{"version_hash", "updated_at", "uuid"} }

// compare tells how two versions of an agent differ. If only the vendor's version tells of
// one of them, what that leaves out is not compared.
func compare(before, after versionContent) (*pb.AgentDiff, error) {
	b, err := object(before.agent)
	if err != nil {
		return nil, err
	}
	a, err := object(after.agent)
	if err != nil {
		return nil, err
	}
	diff := &pb.AgentDiff{}
	if before.partial || after.partial {
		diff.UnknownFields = unknownFields()
		for _, o := range []map[string]any{b, a} {
			told := mirror.VersionFields()
			maps.DeleteFunc(o, func(name string, _ any) bool { return !slices.Contains(told, name) })
			reduce(o, "model", "name")
			reduceAll(o, "functions", "name", "description", "faas_name", "faas_namespace")
		}
	}
	for _, o := range []map[string]any{b, a} {
		reduceAll(o, "child_agents", "uuid", "route_name", "if_case")
		reduceAll(o, "guardrails", "guardrail_uuid", "priority")
		reduceAll(o, "knowledge_bases", "uuid")
		for _, name := range untold() {
			delete(o, name)
		}
	}
	diff.Changes, err = compareObjects("", b, a, nil)
	return diff, err
}

// object is an agent as JSON has it, without secrets.
func object(agent *pb.Agent) (map[string]any, error) {
	text, err := audit.JSON(agent)
	if err != nil {
		return nil, fmt.Errorf("writing an agent to compare it: %w", err)
	}
	var o map[string]any
	if err := json.Unmarshal(text, &o); err != nil {
		return nil, fmt.Errorf("reading an agent to compare it: %w", err)
	}
	return o, nil
}

func reduce(o map[string]any, field string, keep ...string) {
	if inner, is := o[field].(map[string]any); is {
		maps.DeleteFunc(inner, func(name string, _ any) bool { return !slices.Contains(keep, name) })
	}
}

func reduceAll(o map[string]any, field string, keep ...string) {
	list, _ := o[field].([]any)
	for _, element := range list {
		if inner, is := element.(map[string]any); is {
			maps.DeleteFunc(inner, func(name string, _ any) bool { return !slices.Contains(keep, name) })
		}
	}
}

// compareObjects appends how two objects differ, by path.
func compareObjects(path string, before, after map[string]any, list []*pb.AgentChange) ([]*pb.AgentChange, error) {
	err := audit.EachDifference(path, before, after, func(d audit.Difference) (err error) {
		list, err = compareField(d, list)
		return err
	})
	return list, err
}

func compareField(d audit.Difference, list []*pb.AgentChange) ([]*pb.AgentChange, error) {
	if key, is := keyOf()[d.Path]; is {
		return compareLists(d.Path, key, d.Before, d.After, list)
	}
	change := &pb.AgentChange{Path: d.Path, Kind: pb.AgentChange_KIND_CHANGED}
	switch {
	case !d.Was:
		change.Kind = pb.AgentChange_KIND_ADDED
	case !d.Is:
		change.Kind = pb.AgentChange_KIND_REMOVED
	}
	var err error
	if change.Before, err = audit.Value(d.Before, d.Was); err != nil {
		return nil, err
	}
	if change.After, err = audit.Value(d.After, d.Is); err != nil {
		return nil, err
	}
	if d.Was && d.Is && slices.Contains(texts(), d.Path) {
		before, _ := d.Before.(string)
		after, _ := d.After.(string)
		change.Kind, change.Words = pb.AgentChange_KIND_TEXT, compareWords(before, after)
	}
	return append(list, change), nil
}

// compareLists compares lists of which the order does not matter: as sets, or element by
// element where a field tells them apart.
func compareLists(path, key string, before, after any, list []*pb.AgentChange) ([]*pb.AgentChange, error) {
	b, err := elements(before, key)
	if err != nil {
		return nil, err
	}
	a, err := elements(after, key)
	if err != nil {
		return nil, err
	}
	set := &pb.AgentChange{Path: path, Kind: pb.AgentChange_KIND_SET}
	var inner []*pb.AgentChange
	for _, name := range sortedKeys(b, a) {
		old, was := b[name]
		now, is := a[name]
		switch {
		case was && is:
			inB, _ := old.(map[string]any)
			inA, _ := now.(map[string]any)
			if inner, err = compareObjects(path+"["+name+"].", inB, inA, inner); err != nil {
				return nil, err
			}
			continue
		case was:
			v, err := structpb.NewValue(old)
			if err != nil {
				return nil, err
			}
			set.Removed = append(set.Removed, v)
		default:
			v, err := structpb.NewValue(now)
			if err != nil {
				return nil, err
			}
			set.Added = append(set.Added, v)
		}
	}
	if len(set.GetAdded())+len(set.GetRemoved()) > 0 {
		list = append(list, set)
	}
	return append(list, inner...), nil
}

func sortedKeys(a, b map[string]any) []string {
	names := map[string]any{}
	maps.Copy(names, a)
	maps.Copy(names, b)
	return slices.Sorted(maps.Keys(names))
}

// elements are those of a list by what tells them apart. Of two of one name, the second gets
// another.
func elements(list any, key string) (map[string]any, error) {
	found := map[string]any{}
	all, _ := list.([]any)
	for i, element := range all {
		name, _ := element.(string)
		if inner, is := element.(map[string]any); is && key != "" {
			name, _ = inner[key].(string)
		}
		if _, twice := found[name]; twice || name == "" {
			text, err := json.Marshal(element)
			if err != nil {
				return nil, fmt.Errorf("telling the elements of a list apart: %w", err)
			}
			name = fmt.Sprintf("%s#%d", text, i)
		}
		found[name] = element
	}
	return found, nil
}
