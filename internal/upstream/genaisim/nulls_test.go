package genaisim

import (
	"strings"
	"testing"
)

// nulls returns an object with a null for each of its lists, at any depth, and
// how many they are.
func (sc *schema) nulls(deep int) (object map[string]any, count int) {
	object = make(map[string]any)
	for name, field := range sc.fields {
		switch {
		case field.kind == kindArray:
			object[name] = nil
			count++
		case field.kind == kindObject && deep > 0:
			if inner, found := field.nulls(deep - 1); found > 0 {
				object[name] = inner
				count += found
			}
		}
	}
	return object, count
}

// Go clients send a null for a list that they leave empty.
func TestNullForAnyListIsRight(t *testing.T) {
	t.Parallel()
	total := 0
	for key, op := range loadContract().operations {
		object, count := op.body.nulls(3)
		if wrong := op.body.check("", object, nil); len(wrong) > 0 {
			t.Errorf("%s: %s", key, strings.Join(wrong, "; "))
		}
		total += count
	}
	if total < 30 {
		t.Errorf("only %d lists in all bodies", total)
	}
}

func TestNullListsAreNotGiven(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ path, create, update, kind string }{
		"agent": {
			agentsPath,
			`{"name":"a","model_uuid":"` + ModelLlama + `","tags":null,"knowledge_base_uuid":null,"mcp_servers":null}`,
			`{"tags":null,"allowed_domains":null,"mcp_servers":null}`, "agent",
		},
		"knowledge base": {
			"/v2/gen-ai/knowledge_bases",
			`{"name":"k","embedding_model_uuid":"` + ModelEmbedding + `","tags":null,"datasources":null}`,
			`{"tags":null}`, "knowledge_base",
		},
		"model router": {
			"/v2/gen-ai/models/routers",
			`{"name":"r","fallback_models":["llama3.3-70b-instruct"],"policies":null,"regions":null}`,
			`{"fallback_models":null,"policies":null,"regions":null}`, "model_router",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := newClock()
			s := start(t, Config{Strict: true, Now: now.Now})
			made := object(s.do(200, "POST", tc.path, tc.create).body, tc.kind)
			id := text(made, "uuid")
			equal(t, "tags made", len(objects(made, "tags")), 0)
			if name != "model router" {
				s.do(200, "PUT", tc.path+"/"+id, `{"tags":["kept"]}`)
			}
			before := s.do(200, "GET", tc.path+"/"+id, "").raw
			now.advance(1e9)

			s.do(200, "PUT", tc.path+"/"+id, tc.update)

			s.wantEffect(NoEffect)
			equal(t, "after the update it", s.do(200, "GET", tc.path+"/"+id, "").raw, before)
		})
	}
}
