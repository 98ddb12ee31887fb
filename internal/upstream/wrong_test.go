package upstream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// TestWrongTypes has what cannot be in a field's place. It is left out, told and kept,
// and all else arrives.
func TestWrongTypes(t *testing.T) {
	t.Parallel()
	text := func(value string) string { return fmt.Sprintf("string_value:%q", value) }
	for name, tc := range map[string]struct {
		agent string // what the agent has besides
		path  string // below the agent
		want  string // of the agent, besides; as protobuf text
		key   string // of vendor_extra, where it is not the path; - where it is not the agent's
		kept  string // there; as protobuf text
	}{
		"a number for a string":         {agent: `"name":1`, path: "name", kept: "number_value:1"},
		"a long number for a string":    {agent: `"name":9007199254740993`, path: "name", kept: text("9007199254740993")},
		"an object for a string":        {agent: `"name":{"a":[1]}`, path: "name", kept: `struct_value {fields {key:"a" value {list_value {values {number_value:1}}}}}`},
		"a string for an object":        {agent: `"deployment":"up"`, path: "deployment", kept: text("up")},
		"an empty string for an object": {agent: `"deployment":""`, path: "deployment", kept: text("")},
		"a list for an object":          {agent: `"deployment":[{}]`, path: "deployment", kept: `list_value {values {struct_value {}}}`},
		"an object for a list":          {agent: `"tags":{}`, path: "tags", want: ``, kept: "struct_value {}"},
		"a string for a list":           {agent: `"tags":"a,b"`, path: "tags", kept: text("a,b")},
		"a number in a list of strings": {agent: `"tags":["a",2,"b"]`, path: "tags[]", want: `tags:"a" tags:"b"`, key: "tags[1]", kept: "number_value:2"},
		"a list in a list of strings":   {agent: `"tags":[["a"],"b"]`, path: "tags[]", want: `tags:"b"`, key: "tags[0]", kept: `list_value {values {string_value:"a"}}`},
		"a string in a list of objects": {
			agent: `"guardrails":["x",{"uuid":"g"}]`, path: "guardrails[]", want: `guardrails {uuid:"g"}`, key: "guardrails[0]", kept: text("x"),
		},
		"deep within lists": {
			agent: `"child_agents":[{},{"deployment":{"name":[]}}]`, path: "child_agents[].deployment.name", key: "-",
			want: `child_agents {} child_agents {deployment {} vendor_extra {fields {key:"deployment.name" value {list_value {}}}}}`,
		},
		"a fraction for an integer":       {agent: `"k":1.5`, path: "k", kept: "number_value:1.5"},
		"an integer that is too large":    {agent: `"k":2147483648`, path: "k", kept: "number_value:2147483648"},
		"words for an integer":            {agent: `"max_tokens":"12k"`, path: "max_tokens", kept: text("12k")},
		"an exponent that is too large":   {agent: `"user_id":1e400`, path: "user_id", kept: text("1e400")},
		"an id that is too large":         {agent: `"user_id":"18446744073709551616"`, path: "user_id", kept: text("18446744073709551616")},
		"a fraction that is too large":    {agent: `"temperature":1e400`, path: "temperature", kept: text("1e400")},
		"a negative id":                   {agent: `"user_id":"-1"`, path: "user_id", kept: text("-1")},
		"a number in another language":    {agent: `"user_id":"0x10"`, path: "user_id", kept: text("0x10")},
		"a number with space around":      {agent: `"user_id":" 1"`, path: "user_id", kept: text(" 1")},
		"not a number":                    {agent: `"temperature":"NaN"`, path: "temperature", kept: text("NaN")},
		"a boolean for a number":          {agent: `"k":true`, path: "k", kept: "bool_value:true"},
		"a string for a boolean":          {agent: `"provide_citations":"true"`, path: "provide_citations", kept: text("true")},
		"a number for a boolean":          {agent: `"provide_citations":1`, path: "provide_citations", kept: "number_value:1"},
		"a boolean for an enum":           {agent: `"retrieval_method":true`, path: "retrieval_method", kept: "bool_value:true"},
		"a fraction for an enum":          {agent: `"retrieval_method":1.5`, path: "retrieval_method", kept: "number_value:1.5"},
		"a time in words":                 {agent: `"created_at":"yesterday"`, path: "created_at", kept: text("yesterday")},
		"a time as a number":              {agent: `"created_at":1772323200`, path: "created_at", kept: "number_value:1772323200"},
		"a time before all times":         {agent: `"created_at":"0000-01-01T00:00:00Z"`, path: "created_at", kept: text("0000-01-01T00:00:00Z")},
		"a list for a free-form object":   {agent: `"guardrails":[{"metadata":[1]}]`, path: "guardrails[].metadata", want: `guardrails {}`, key: "guardrails[0].metadata", kept: "list_value {values {number_value:1}}"},
		"what looks like a secret within": {agent: `"name":{"a":[{"token":"s"}]}`, path: "name", kept: `struct_value {fields {key:"a" value {list_value {values {struct_value {fields {key:"token" value {string_value:"[redacted]"}}}}}}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := &pb.GetAgentResponse{}
			drift, found, err := read(`{"agent":{"uuid":"u",`+tc.agent+`,"version_hash":"v"}}`, got)
			if err != nil {
				t.Fatal(err)
			}
			key := orElse(tc.key, tc.path)
			extra := fmt.Sprintf("vendor_extra {fields {key:%q value {%s}}}", key, tc.kept)
			if key == "-" {
				extra = ""
			}
			want := &pb.GetAgentResponse{}
			if err := prototext.Unmarshal([]byte(`agent {uuid:"u" version_hash:"v" `+tc.want+extra+`}`), want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("decoded otherwise (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]int{"wrong_type agent." + tc.path: 1}, drift); diff != "" || !found.misread {
				t.Errorf("misread %v, counted (-want +got):\n%s", found.misread, diff)
			}
		})
	}
}

func TestWrongTypesAreCounted(t *testing.T) {
	t.Parallel()
	got := &pb.ListAgentsResponse{}
	drift, _, err := read(`{"agents":[{"k":"x"},7,{"uuid":"u","k":[],"deployment":{"status":{}}},"y"],"links":[],"meta":{"total":"many","page":2}}`, got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{
		"wrong_type agents[].k": 2, "wrong_type agents[]": 2, "wrong_type agents[].deployment.status": 1, "wrong_type links": 1, "wrong_type meta.total": 1,
	}, drift); diff != "" {
		t.Errorf("counted otherwise (-want +got):\n%s", diff)
	}
	if len(got.GetAgents()) != 2 || got.GetAgents()[1].GetUuid() != "u" || got.GetMeta().GetPage() != 2 {
		t.Errorf("got %v", got)
	}
}

// TestSecretsOfTheWrongType has a secret in every place where one could come otherwise
// than agreed.
func TestSecretsOfTheWrongType(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for name, tc := range map[string]struct {
		agent string
		paths []string // below the agent
		kept  map[string]string
	}{
		"in an object": {agent: `"api_keys":[{"api_key":{"value":"hunter2"}}]`, paths: []string{"api_keys[].api_key"}},
		"in a list":    {agent: `"functions":[{"api_key":["hunter2"]}]`, paths: []string{"functions[].api_key"}},
		"as a string where an object of secrets belongs": {agent: `"mcp_servers":[{"headers":"hunter2"}]`, paths: []string{"mcp_servers[].headers"}},
		"in the key's message": {
			agent: `"api_key_infos":[{"uuid":"u","secret_key":{"hunter2":1}}]`, paths: []string{"api_key_infos[].secret_key"},
		},
		"without its message": {
			agent: `"api_keys":["hunter2"],"functions":"hunter2","openai_api_key":"hunter2"`, paths: []string{"api_keys[]", "functions", "openai_api_key"},
			kept: map[string]string{"api_keys[0]": redactedText, "functions": redactedText, "openai_api_key": redactedText},
		},
		"by its name": {agent: `"api_keys":{"production":"hunter2"}`, paths: []string{"api_keys"}, kept: map[string]string{"api_keys": redactedText}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, lines, metrics := watched(t, `{"agent":{"uuid":"u",`+tc.agent+`}}`)
			got, reply, err := getAgent(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(prototext.Format(got), secret) || strings.Contains(lines.String(), secret) {
				t.Errorf("it leaked: %v\n%s", got, lines)
			}
			kept := map[string]string{}
			for key, value := range got.GetAgent().GetVendorExtra().GetFields() {
				kept[key] = value.GetStringValue()
			}
			if diff := cmp.Diff(tc.kept, kept, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("kept otherwise (-want +got):\n%s", diff)
			}
			want := map[string]int64{}
			for _, path := range tc.paths {
				want["wrong_type agent."+path] = 1
			}
			counted, _ := metrics()
			if diff := cmp.Diff(want, counted); diff != "" {
				t.Errorf("counted otherwise (-want +got):\n%s", diff)
			}
			if !reply.Misread || got.GetAgent().GetUuid() != "u" {
				t.Errorf("misread %v: %v", reply.Misread, got)
			}
		})
	}
}
