package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// answerer makes the vendor's answers from the contract alone: every field of the shape,
// each with another value.
type answerer struct {
	c *contract
	n int
	// zero gives numbers, booleans and enums their zero values.
	zero bool
	// text makes a text; nil: one like no other. The path is that of shapes and fields.
	text func(shape, field string, n int) string
}

// answer is a whole answer of an operation, of which lists have two items.
func (a *answerer) answer(op vendorOperation) map[string]any {
	return a.object("", op.Answer, nil)
}

// object is an object with all of the fields, named in order so that the same contract
// always gives the same values.
func (a *answerer) object(shape string, fields map[string]string, within []string) map[string]any {
	object := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if value, ok := a.value(shape, name, fields[name], within); ok {
			object[name] = value
		}
	}
	return object
}

// mostWithin is how often a shape is within itself, so that what is around a resource is
// there as well: agents have agents.
const mostWithin = 2

// value is false where a shape is within itself too often.
func (a *answerer) value(shape, field, kind string, within []string) (any, bool) {
	if inner, list := element(kind); list {
		many := 2
		if len(within) > 0 && strings.HasPrefix(inner, "@") {
			many = 1
		}
		var items []any
		for range many {
			item, ok := a.value(shape, field, inner, within)
			if !ok {
				return nil, false
			}
			items = append(items, item)
		}
		return items, true
	}
	if name, is := strings.CutPrefix(kind, "@"); is {
		if countOf(within, name) == mostWithin {
			return nil, false
		}
		return a.object(name, a.c.Shapes[name], append(slices.Clone(within), name)), true
	}
	a.n++
	if name, is := strings.CutPrefix(kind, "#"); is {
		values := a.c.Enums[name]
		if a.zero {
			return values[0], true
		}
		return values[1+a.n%(len(values)-1)], true // the first is "not told" in most
	}
	return a.scalar(shape, field, kind), true
}

func countOf(names []string, name string) int {
	n := 0
	for _, other := range names {
		if other == name {
			n++
		}
	}
	return n
}

func (a *answerer) scalar(shape, field, kind string) any {
	if zero, ok := zeros()[kind]; ok && a.zero && field != "id" { // ids tell one from another
		return zero
	}
	switch kind {
	case "string":
		if a.text != nil {
			return a.text(shape, field, a.n)
		}
		return fmt.Sprintf("%s %d %s", field, a.n, awkward)
	case "uuid":
		return numberedUUID(a.n)
	case "timestamp":
		return moment(a.n).Format("2006-01-02T15:04:05.999999999Z07:00")
	case "integer":
		return 1_000_000 + a.n
	case "int64":
		return strconv.FormatUint(beyondFloats+uint64(a.n), 10)
	case "number":
		return float64(a.n) + 0.125
	case "boolean":
		return a.n%2 == 0
	default: // an object of any form
		if a.text != nil {
			return map[string]any{"free": a.text(shape, field, a.n)}
		}
		return freeForm(a.n)
	}
}

// agreed takes what would be a refusal out of an answer of success: a text in the field
// for errors, and a status that says so.
func (a *answerer) agreed(op vendorOperation, answer map[string]any) {
	delete(answer, "error")
	for name := range a.failures(op) {
		answer[name] = strings.TrimSuffix(fmt.Sprint(answer[name]), "_FAIL")
		if !slices.Contains(a.c.Enums[op.Answer[name][1:]], answer[name].(string)) {
			answer[name] = answer[name].(string) + "_SUCCESS"
		}
	}
}

// tombstones are how the shapes of resources show that one was deleted: each sets that of
// an object, or takes it away. Such a resource is not there for who reads.
func tombstones() map[string]func(object map[string]any, deleted bool) {
	stamp := func(object map[string]any, deleted bool) {
		if delete(object, "deleted_at"); deleted {
			object["deleted_at"] = "2026-02-01T00:00:00Z"
		}
	}
	return map[string]func(map[string]any, bool){
		"AnthropicApiKeyInfo": stamp, "ApiKeyInfo": stamp, "OpenAiApiKeyInfo": stamp, "ScheduledIndexing": stamp, "Workspace": stamp,
		"EvaluationMetric": func(metric map[string]any, deleted bool) {
			stamp(metric["custom_eval_config"].(map[string]any), deleted)
		},
		"CustomModel": func(model map[string]any, deleted bool) {
			if deleted {
				model["status"] = "STATUS_DELETED"
			} else if model["status"] == "STATUS_DELETED" {
				model["status"] = "STATUS_READY"
			}
		},
	}
}

// living has the resources of an answer be there, save the first if one is to be deleted;
// false if they have no way to tell.
func living(op vendorOperation, answer map[string]any, deleted bool) bool {
	told := false
	for name, kind := range op.Answer {
		kind, _ = element(kind)
		mark := tombstones()[strings.TrimPrefix(kind, "@")]
		for i, resource := range objectsOf(answer[name]) {
			if mark != nil {
				mark(resource, deleted && i == 0)
				told = true
			}
		}
	}
	return told
}

// failures are the fields of an answer that can say that the operation failed, with the
// value that does.
func (a *answerer) failures(op vendorOperation) map[string]string {
	failures := map[string]string{}
	for name, kind := range op.Answer {
		if enum, is := strings.CutPrefix(kind, "#"); is {
			for _, value := range a.c.Enums[enum] {
				if strings.HasSuffix(value, "_STATUS_FAIL") {
					failures[name] = value
				}
			}
		}
	}
	return failures
}

// zeros are the zero values of types.
func zeros() map[string]any {
	return map[string]any{"integer": 0, "int64": "0", "number": 0.0, "boolean": false}
}

// shapesOfKinds are the shapes by which kinds of resources are shown, of those whose id
// is called uuid. What else an answer calls like something in the request is just that.
func shapesOfKinds() map[string]string {
	return map[string]string{
		"agent": "Agent", "agent_api_key": "ApiKeyInfo", "anthropic_key": "AnthropicApiKeyInfo", "custom_model": "CustomModel",
		"data_source": "DataSource", "indexing_job": "IndexingJob", "indexing_schedule": "ScheduledIndexing",
		"knowledge_base": "KnowledgeBase", "model_api_key": "ApiKeyInfo", "model_router": "ModelRouter", "openai_key": "OpenAiApiKeyInfo",
		"workspace": "Workspace",
	}
}

// about makes an answer one about the resources that a request names: a vendor answers
// with what it was asked about. given is the request's field of a name, "" if it has none.
func (a *answerer) about(m *methods.Method, answer map[string]any, given func(field string) string) {
	op := a.c.Operations[m.Verb+" "+m.Path]
	same := func(fields map[string]string, object map[string]any) {
		for name, kind := range fields {
			if value := given(name); kind == "uuid" && value != "" {
				object[name] = value
			}
		}
	}
	same(op.Answer, answer)
	for name, kind := range op.Answer {
		shape, is := strings.CutPrefix(kind, "@")
		object, there := answer[name].(map[string]any)
		if !is || !there {
			continue
		}
		same(a.c.Shapes[shape], object)
		if m.Access.GetSubject() != nil && shapesOfKinds()[m.Access.GetSubject().GetKind()] == shape {
			bindUUID(object, given(m.Access.GetSubject().GetField()))
			continue
		}
		if targets := m.Access.GetTargets(); len(targets) > 0 && shapesOfKinds()[targets[0].GetKind()] == shape {
			bindUUID(object, given(targets[0].GetField()))
		}
	}
}

func bindUUID(object map[string]any, id string) {
	if id != "" {
		object["uuid"] = id
	}
}

// pages splits an answer with a list into one answer an item, with links and meta as the
// vendor counts them.
func pages(op vendorOperation, answer map[string]any) []map[string]any {
	items, _ := answer[op.list()].([]any)
	split := make([]map[string]any, 0, len(items))
	for i, item := range items {
		page := maps.Clone(answer)
		page[op.list()] = []any{item}
		page["meta"] = map[string]any{"page": i + 1, "pages": len(items), "total": len(items)}
		if op.Answer["links"] != "" {
			links := map[string]any{"first": "https://vendor.example?page=1", "last": fmt.Sprintf("https://vendor.example?page=%d", len(items))}
			if i > 0 {
				links["previous"] = fmt.Sprintf("https://vendor.example?page=%d", i)
			}
			if i < len(items)-1 {
				links["next"] = fmt.Sprintf("https://vendor.example?page=%d", i+2)
			}
			page["links"] = map[string]any{"pages": links}
		}
		split = append(split, page)
	}
	return split
}
