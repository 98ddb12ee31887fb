package methods_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

func TestEchoedSecretsAreTakenOut(t *testing.T) {
	t.Parallel()
	headers, err := structpb.NewStruct(map[string]any{"x-api-key": "header-secret", "n": 1.0})
	if err != nil {
		t.Fatal(err)
	}
	request := &pb.UpdateAgentRequest{McpServers: []*pb.McpServer{{Authorization: new("Bearer token-secret"), Headers: headers, ServerLabel: new("label-is-none")}}}
	extra, err := structpb.NewStruct(map[string]any{
		"new_field": "it was token-secret", "deep": map[string]any{"list": []any{"header-secret", "fine"}}, "name header-secret": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	response := &pb.UpdateAgentResponse{Agent: &pb.Agent{
		Description: new("you gave Bearer token-secret"), Tags: []string{"token-secret", "label-is-none"}, VendorExtra: extra,
		McpServers: []*pb.McpServer{{Authorization: new("Bearer token-secret")}},
	}}
	methods.Scrub(response, methods.SecretValues(request))

	if got := response.GetAgent().GetMcpServers()[0].GetAuthorization(); got != "Bearer token-secret" {
		t.Errorf("the secret field itself is %q", got)
	}
	methods.Redact(response)
	text := prototext.Format(response)
	for _, secret := range []string{"token-secret", "header-secret"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is still there: %s", secret, text)
		}
	}
	for _, kept := range []string{"label-is-none", "fine", "you gave "} {
		if !strings.Contains(text, kept) {
			t.Errorf("%q was taken out: %s", kept, text)
		}
	}
	clean := proto.Clone(response)
	if methods.Scrub(clean, nil); !proto.Equal(clean, response) {
		t.Error("nothing to take out changed something")
	}
}

// A vendor may repeat a secret as it stood in the JSON that it was sent. Words of a secret
// alone are no secrets: taking them out would lose what innocent texts say.
func TestWhatCountsAsAnEcho(t *testing.T) {
	t.Parallel()
	request := &pb.UpdateAgentRequest{McpServers: []*pb.McpServer{{Authorization: new(`Digest username="agents2026", response="0a1b<2c3d"`)}}}
	response := &pb.UpdateAgentResponse{Agent: &pb.Agent{
		Description: new(`got {"authorization": "Digest username=\"agents2026\", response=\"0a1b<2c3d\""}`),
		Instruction: new(`it is username="agents2026", response="0a1b<2c3d".`),
		Name:        new("agents2026"),
	}}
	methods.Scrub(response, methods.SecretValues(request))
	want := &pb.Agent{
		Description: new(`got {"authorization": "[redacted]"}`), Instruction: new("it is [redacted]."), Name: new("agents2026"),
	}
	if !proto.Equal(response.GetAgent(), want) {
		t.Errorf("the answer is %s", prototext.Format(response.GetAgent()))
	}
}

// AWS secrets hold / and +, and URLs are where vendors repeat them.
func TestEscapedEchoesAreTakenOut(t *testing.T) {
	t.Parallel()
	const secret = `wJalr/K7+MD ENG&b"`
	request := &pb.AddDataSourceRequest{AwsDataSource: &pb.AwsDataSourceInput{SecretKey: new(secret)}}
	for name, echo := range map[string]string{
		"as it is":                     secret,
		"in a query":                   "https://s3.invalid/?key=wJalr%2FK7%2BMD+ENG%26b%22&x=1",
		"in a query, as browsers do":   "https://s3.invalid/?key=wJalr%2FK7%2BMD%20ENG%26b%22",
		"in a query, in small letters": "https://s3.invalid/?key=wJalr%2fK7%2bMD+ENG%26b%22",
		"in a path":                    "https://s3.invalid/wJalr%2FK7+MD%20ENG&b%22/en",
		"in a path, in small letters":  "https://s3.invalid/wJalr%2fK7+MD%20ENG&b%22/en",
		"in JSON":                      `{"key": "wJalr/K7+MD ENG&b\""}`,
		"in HTML":                      `<b>wJalr/K7+MD ENG&amp;b&#34;</b>`,
	} {
		response := &pb.AddDataSourceResponse{KnowledgeBaseDataSource: &pb.DataSource{BucketName: &echo}}
		methods.Scrub(response, methods.SecretValues(request))
		if got := response.GetKnowledgeBaseDataSource().GetBucketName(); strings.Contains(got, "wJalr") || !strings.Contains(got, methods.Scrubbed) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := methods.SecretValues(&pb.AddDataSourceRequest{AwsDataSource: &pb.AwsDataSourceInput{SecretKey: new("onlyletters")}}); len(got) != 1 {
		t.Errorf("a plain secret has the forms %q", got)
	}
}
