package upstream

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// read decodes as a client does, and tells the drift by its kind and path.
func read(body string, resp proto.Message) (map[string]int, findings, error) {
	found, err := new(shapes).decode([]byte(body), resp)
	return counts(found), found, err
}

func counts(found findings) map[string]int {
	if len(found.drift) == 0 {
		return nil
	}
	out := map[string]int{}
	for what, count := range found.drift {
		out[string(what.kind)+" "+what.path] = count.times
	}
	return out
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body  string
		want  string // as protobuf text, of a GetAgentResponse
		drift map[string]int
	}{
		"nothing": {body: ` {} `},
		"null is absent, at any level": {
			body: `{"agent":{"uuid":null,"tags":null,"template":null,"created_at":null,"deployment":{"status":null},"k":null,"metadata":null}}`,
			want: `agent {deployment {}}`,
		},
		"null in lists is left out": {body: `{"agent":{"tags":["a",null,"b"],"functions":[null]}}`, want: `agent {tags:"a" tags:"b"}`},
		"an empty list":             {body: `{"agent":{"tags":[],"child_agents":[]}}`, want: `agent {}`},
		"an empty agent":            {body: `{"agent":{}}`, want: `agent {}`},
		"zeros are present":         {body: `{"agent":{"k":0,"temperature":0,"provide_citations":false,"name":""}}`, want: `agent {k:0 temperature:0 provide_citations:false name:""}`},
		"the last of two values":    {body: `{"agent":{"k":1,"k":2}}`, want: `agent {k:2}`, drift: map[string]int{"duplicate agent.k": 1}},
		"the last of two, which is null": {
			body: `{"agent":{"uuid":"u","k":1,"name":"n","k":null}}`, want: `agent {uuid:"u" name:"n"}`, drift: map[string]int{"duplicate agent.k": 1},
		},
		"the last of two objects, and of two lists": {
			body: `{"agent":{"deployment":{"name":"a","zone":1},"tags":["a","b"],"mood":1,"name":"n","deployment":{"url":"b"},"tags":["c"],"k":2,"mood":2}}`,
			want: `agent {deployment {url:"b"} tags:"c" name:"n" k:2 vendor_extra {fields {key:"mood" value {number_value:2}}}}`,
			drift: map[string]int{
				"duplicate agent.deployment": 1, "duplicate agent.tags": 1, "unknown_field agent.mood": 2, "unknown_field agent.deployment.zone": 1,
			},
		},
		"the last of two agents, with what it has": {
			body:  `{"agent":{"uuid":"u","a":1,"child_agents":[{"c":1}]},"agent":{"name":"n","b":2}}`,
			want:  `agent {name:"n" vendor_extra {fields {key:"b" value {number_value:2}}}}`,
			drift: map[string]int{"duplicate agent": 1, "unknown_field agent.a": 1, "unknown_field agent.child_agents[].c": 1, "unknown_field agent.b": 1},
		},
		"a value again after one of the wrong type": {
			body:  `{"agent":{"k":"many","k":2}}`,
			want:  `agent {k:2}`,
			drift: map[string]int{"wrong_type agent.k": 1, "duplicate agent.k": 1},
		},
		"bytes that are no characters": {body: "{\"agent\":{\"name\":\"a\xffb\\ud800\"}}", want: `agent {name:"a\uFFFDb\uFFFD"}`},
		"NUL, which no database stores": {
			body: `{"agent":{"name":"a\u0000b","tags":["\u0000","\\u0000"],"functions":[{"input_schema":{"x\u0000":["\u0000y"]}}],` +
				`"mood\u0000":{"z\u0000":"\u0000"}}}`,
			drift: map[string]int{"unknown_field agent.mood\uFFFD": 1},
			want: `agent {name:"a\uFFFDb" tags:"\uFFFD" tags:"\\u0000"
				functions {input_schema {fields {key:"x\uFFFD" value {list_value {values {string_value:"\uFFFDy"}}}}}}
				vendor_extra {fields {key:"mood\uFFFD" value {struct_value {fields {key:"z\uFFFD" value {string_value:"\uFFFD"}}}}}}}`,
		},
		"empty texts for what is no text": {
			body: `{"agent":{"created_at":"","retrieval_method":"","user_id":"","k":"","temperature":"","deployment":{"status":""}}}`,
			want: `agent {deployment {}}`,
		},
		"64-bit integers as strings": {body: `{"agent":{"user_id":"18446744073709551615"}}`, want: `agent {user_id:18446744073709551615}`},
		"64-bit integers as numbers": {body: `{"agent":{"user_id":9007199254740993}}`, want: `agent {user_id:9007199254740993}`},
		"integers in other forms":    {body: `{"agent":{"k":3.0,"max_tokens":1e3,"thinking_token_budget":"12","user_id":5.0}}`, want: `agent {k:3 max_tokens:1000 thinking_token_budget:12 user_id:5}`},
		"fractions as strings":       {body: `{"agent":{"temperature":"0.5","top_p":1}}`, want: `agent {temperature:0.5 top_p:1}`},
		"enum values by name and number": {
			body: `{"agent":{"retrieval_method":2,"deployment":{"status":"STATUS_RUNNING","visibility":"VISIBILITY_UNKNOWN"}}}`,
			want: `agent {retrieval_method:RETRIEVAL_METHOD_STEP_BACK deployment {status:STATUS_RUNNING visibility:VISIBILITY_UNKNOWN}}`,
		},
		"times": {
			body: `{"agent":{"created_at":"2026-03-01T01:00:00.25+01:00","updated_at":"2026-03-02"}}`,
			want: `agent {created_at {seconds:1772323200 nanos:250000000} updated_at {seconds:1772409600}}`,
		},
		"free form keeps its integers": {
			body: `{"agent":{"functions":[{"input_schema":{"big":9007199254740993,"n":1.5,"no":null,"huge":1e999,"l":[true]}}]}}`,
			want: `agent {functions {input_schema {
				fields {key:"big" value {string_value:"9007199254740993"}} fields {key:"n" value {number_value:1.5}}
				fields {key:"no" value {null_value:NULL_VALUE}} fields {key:"huge" value {string_value:"1e999"}}
				fields {key:"l" value {list_value {values {bool_value:true}}}}}}}`,
		},
		"an unknown field is kept": {
			body:  `{"agent":{"uuid":"u","mood":{"level":9007199254740993,"list":[1,"x",null]}}}`,
			drift: map[string]int{"unknown_field agent.mood": 1},
			want: `agent {uuid:"u" vendor_extra {fields {key:"mood" value {struct_value {
				fields {key:"level" value {string_value:"9007199254740993"}}
				fields {key:"list" value {list_value {values {number_value:1} values {string_value:"x"} values {null_value:NULL_VALUE}}}}}}}}}`,
		},
		"an unknown field below is kept where it can be": {
			body:  `{"agent":{"functions":[{"uuid":"f"},{"new_field":true}],"deployment":{"zone":"z"}}}`,
			drift: map[string]int{"unknown_field agent.functions[].new_field": 1, "unknown_field agent.deployment.zone": 1},
			want: `agent {functions {uuid:"f"} functions {} deployment {} vendor_extra {
				fields {key:"functions[1].new_field" value {bool_value:true}} fields {key:"deployment.zone" value {string_value:"z"}}}}`,
		},
		"each agent keeps its own": {
			body:  `{"agent":{"a":1,"child_agents":[{"b":2},{"b":3}]}}`,
			drift: map[string]int{"unknown_field agent.a": 1, "unknown_field agent.child_agents[].b": 2},
			want: `agent {child_agents {vendor_extra {fields {key:"b" value {number_value:2}}}}
				child_agents {vendor_extra {fields {key:"b" value {number_value:3}}}}
				vendor_extra {fields {key:"a" value {number_value:1}}}}`,
		},
		"beside the agent there is nowhere to keep it": {body: `{"agent":{},"cost":1}`, want: `agent {}`, drift: map[string]int{"unknown_field cost": 1}},
		"an unknown field without a value":             {body: `{"agent":{"mood":null}}`, want: `agent {}`},
		"an unknown enum value is kept": {
			body: `{"agent":{"deployment":{"status":"STATUS_MELTING"},"retrieval_method":77,` +
				`"model":{"usecases":["MODEL_USECASE_AGENT","MODEL_USECASE_NEW"]}}}`,
			drift: map[string]int{"unknown_value agent.deployment.status": 1, "unknown_value agent.retrieval_method": 1, "unknown_value agent.model.usecases[]": 1},
			want: `agent {deployment {} model {usecases:MODEL_USECASE_AGENT} vendor_extra {
				fields {key:"deployment.status" value {string_value:"STATUS_MELTING"}}
				fields {key:"retrieval_method" value {number_value:77}}
				fields {key:"model.usecases[1]" value {string_value:"MODEL_USECASE_NEW"}}}}`,
		},
		"likely secrets are not kept": {
			body: `{"agent":{"new_api_key":"s1","x":[{"Access-Token":["s2"],"deep":{"PASSWORD":{"a":"s3"}}}],"new_key_uuid":"u",` +
				`"functions":[{"credentials":"s4"}]}}`,
			drift: map[string]int{"unknown_field agent.new_api_key": 1, "unknown_field agent.x": 1, "unknown_field agent.new_key_uuid": 1, "unknown_field agent.functions[].credentials": 1},
			want: `agent {functions {} vendor_extra {
				fields {key:"new_api_key" value {string_value:"[redacted]"}} fields {key:"new_key_uuid" value {string_value:"u"}}
				fields {key:"functions[0].credentials" value {string_value:"[redacted]"}}
				fields {key:"x" value {list_value {values {struct_value {
					fields {key:"Access-Token" value {string_value:"[redacted]"}}
					fields {key:"deep" value {struct_value {fields {key:"PASSWORD" value {string_value:"[redacted]"}}}}}}}}}}}}`,
		},
		"what is ours is not taken": {
			body: `{"operation":{"id":"x"},"freshness":{"stale":true},"agent":{"uuid":"u","vendor_extra":{"a":1},` +
				`"child_agents":[{"vendor_extra":"no object"}]}}`,
			drift: map[string]int{"unknown_field operation": 1, "reserved freshness": 1, "reserved agent.vendor_extra": 1, "reserved agent.child_agents[].vendor_extra": 1},
			want:  `agent {uuid:"u" child_agents {}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := &pb.GetAgentResponse{Agent: &pb.Agent{Name: new("left over")}}
			drift, found, err := read(tc.body, got)
			if err != nil {
				t.Fatal(err)
			}
			want := &pb.GetAgentResponse{}
			if err := prototext.Unmarshal([]byte(tc.want), want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("decoded otherwise (-want +got):\n%s", diff)
			}
			if want := drift["wrong_type agent.k"] > 0; found.misread != want {
				t.Errorf("misread: %v", found.misread)
			}
			if diff := cmp.Diff(tc.drift, drift); diff != "" {
				t.Errorf("counted otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswersThatAreNotUnderstood(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ body, want string }{
		"nothing":                      {body: ``, want: "the answer is not JSON, at byte 0 of 0"},
		"a page":                       {body: `<html>`, want: "the answer is not JSON, at byte 0 of 6"},
		"half of it":                   {body: `{"agent":{"uuid":"u"`, want: "the answer is not JSON, at byte 20 of 20"},
		"a broken part of no interest": {body: `{"agent":{"mood":[1,]}}`, want: "the answer is not JSON, at byte 20 of 23"},
		"two of them":                  {body: `{} {}`, want: "something follows the answer's JSON"},
		"a list":                       {body: `[]`, want: "the answer is a list, not a JSON object"},
		"a text":                       {body: `"hunter2"`, want: "the answer is a string, not a JSON object"},
		"a number":                     {body: `12`, want: "the answer is a number, not a JSON object"},
		"null":                         {body: `null`, want: "the answer is null, not a JSON object"},
		"nested without end": {
			body: `{"agent":{"x":` + strings.Repeat(`[`, 300) + strings.Repeat(`]`, 300) + `}}`, want: "the answer nests too deeply",
		},
		"agents within agents without end": {
			body: strings.Repeat(`{"agent":{"child_agents":[`, 1) + strings.Repeat(`{"child_agents":[`, 1e5), want: "the answer nests too deeply",
		},
		"nested without end or sense": {body: strings.Repeat(`{"a":`, 1e6), want: "the answer nests too deeply"},
		"free form without end": {
			body: `{"agent":{"functions":[{"input_schema":` + strings.Repeat(`{"a":`, 1e6), want: "the answer nests too deeply",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := &pb.GetAgentResponse{Agent: &pb.Agent{Name: new("left over")}}
			drift, _, err := read(tc.body, got)
			var format *FormatError
			if !errors.As(err, &format) || err.Error() != tc.want {
				t.Fatalf("got %v, want %s", err, tc.want)
			}
			if proto.Size(got) != 0 || drift != nil {
				t.Errorf("half of the answer is left: %v, %v", got, drift)
			}
		})
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	var body strings.Builder
	body.WriteString(`{"agent":{"a_small":1,"b_large":"` + strings.Repeat("x", maxExtra) + `"`)
	for i := range 2000 {
		fmt.Fprintf(&body, `,"c%04d":"%s"`, i, strings.Repeat("y", 100))
	}
	fmt.Fprintf(&body, `,"%s":1}}`, strings.Repeat("n", 1000))

	var first []byte
	for range 3 { // always the same, though JSON objects have no order
		got := &pb.GetAgentResponse{}
		drift, _, err := read(body.String(), got)
		if err != nil {
			t.Fatal(err)
		}
		if len(drift) != 2003 {
			t.Errorf("%d places counted", len(drift))
		}
		extra := got.GetAgent().GetVendorExtra()
		if size := proto.Size(extra); size > maxExtra*5/4 {
			t.Errorf("%d bytes are kept", size)
		}
		if _, kept := extra.GetFields()["b_large"]; kept || extra.GetFields()["a_small"] == nil {
			t.Error("the wrong fields are kept")
		}
		leftOut := int(extra.GetFields()[leftOutKey].GetNumberValue())
		if kept := len(extra.GetFields()) - 1; kept+leftOut != 2003 {
			t.Errorf("%d kept and %d left out of 2003", kept, leftOut)
		}
		out, err := proto.MarshalOptions{Deterministic: true}.Marshal(extra)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = out
		}
		if string(out) != string(first) {
			t.Error("the same answer is kept in two ways")
		}
	}
}

func TestWrongElementsWithoutEnd(t *testing.T) {
	t.Parallel()
	const elements = 100_000
	got := &pb.GetAgentResponse{}
	drift, _, err := read(`{"agent":{"tags":["a"`+strings.Repeat(",1", elements)+`,"b"]}}`, got)
	if err != nil {
		t.Fatal(err)
	}
	extra := got.GetAgent().GetVendorExtra()
	kept, leftOut := len(extra.GetFields())-1, int(extra.GetFields()[leftOutKey].GetNumberValue())
	if kept+leftOut != elements || kept < 1000 || proto.Size(extra) > maxExtra*5/4 || drift["wrong_type agent.tags[]"] != elements {
		t.Errorf("%d kept and %d left out, %d bytes, counted %v", kept, leftOut, proto.Size(extra), drift)
	}
	if diff := cmp.Diff([]string{"a", "b"}, got.GetAgent().GetTags()); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestLooksSecret(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"api_key": true, "APIKey": true, "refresh_token": true, "client_secret": true, "Password": true, "authorization": true,
		"credential_id": true, "download_url": true, "anthropic_key_uuid": false, "api_key_uuids": false, "name": false, "uuid": false, "": false,
	} {
		if got := looksSecret(name); got != want {
			t.Errorf("%q looks secret: %v", name, got)
		}
	}
}

func BenchmarkDecodeAgents(b *testing.B) {
	agent := `{"uuid":"` + agentID + `","name":"Ada","k":5,"temperature":0.5,"tags":["a","b"],"user_id":"123","created_at":"2026-03-01T00:00:00Z",` +
		`"deployment":{"status":"STATUS_RUNNING","url":"https://x"},"model":{"name":"m","usecases":["MODEL_USECASE_AGENT"]},"new":1}`
	body := `{"agents":[` + agent + strings.Repeat(","+agent, 199) + `]}`
	var known shapes
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := known.decode([]byte(body), &pb.ListAgentsResponse{}); err != nil {
			b.Fatal(err)
		}
	}
}
