package service

import (
	"slices"
	"strings"
	"testing"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

func TestMasksInJSON(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body string
		want []string
		says string // of the error; "" for none
	}{
		"the API's names":   {body: `{"update_mask": "model_uuid,name"}`, want: []string{"model_uuid", "name"}},
		"JSON's names":      {body: `{"updateMask": "modelUuid"}`, want: []string{"model_uuid"}},
		"both in one":       {body: `{"update_mask": "modelUuid,top_p"}`, want: []string{"model_uuid", "top_p"}},
		"escaped":           {body: `{"update_mask": "model\u005fuuid"}`, want: []string{"model_uuid"}},
		"with what follows": {body: `{"uuid": "u", "update_mask": "top_p", "temperature": 1}`, want: []string{"top_p"}},
		"empty":             {body: `{"update_mask": ""}`},
		"null":              {body: `{"update_mask": null}`},
		"none":              {body: `{}`},
		"no field":          {body: `{"update_mask": "name,hunter2"}`, says: "update_mask: name 2 is no field of the request"},
		"nested":            {body: `{"update_mask": "mutation.hunter2"}`, says: "update_mask: name 1 is nested; name top-level fields only"},
		"a number":          {body: `{"update_mask": 7}`, says: "update_mask: is not a text of field names separated by commas"},
		"a list":            {body: `{"update_mask": ["name"]}`, says: "update_mask: is not a text of field names separated by commas"},
		"twice":             {body: `{"update_mask": "name", "updateMask": "name"}`, says: "body: is not JSON as the message wants it (line 1:25)"},
		"an error after it": {body: `{"update_mask": "model_uuid", "modelUuid": 7}`, says: "model_uuid: is not of type string (line 1:44)"},
		"no JSON":           {body: `{"update_mask": "name"`, says: "body: is not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := &pb.UpdateAgentRequest{}
			if err := (jsonCodec{name: "json"}).Unmarshal([]byte(tc.body), req); err != nil {
				t.Fatal(err)
			}
			_, err := checkDecoded(t.Context(), methods.API().ByRequest(req), req)
			switch {
			case tc.says == "" && (err != nil || !slices.Equal(req.GetUpdateMask().GetPaths(), tc.want)):
				t.Errorf("got %q, %v", req.GetUpdateMask().GetPaths(), err)
			case tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "hunter2")):
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}

// TestMasksWithinJSON reads the mask of what a batch does to each of its agents.
func TestMasksWithinJSON(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body string
		want []string
		says string
	}{
		"the API's names":   {body: `{"uuids": ["u"], "update": {"update_mask": "model_uuid", "temperature": 1}}`, want: []string{"model_uuid"}},
		"JSON's names":      {body: `{"update": {"updateMask": "modelUuid"}}`, want: []string{"model_uuid"}},
		"none":              {body: `{"update": {"temperature": 1}}`},
		"null":              {body: `{"update": null}`},
		"no field":          {body: `{"update": {"update_mask": "hunter2"}}`, says: "update.update_mask: name 1 is no field of the request"},
		"an error after it": {body: `{"update": {"update_mask": "model_uuid", "modelUuid": 7}}`, says: "model_uuid: is not of type string (line 1:55)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := &pb.BatchUpdateAgentsRequest{}
			if err := (jsonCodec{name: "json"}).Unmarshal([]byte(tc.body), req); err != nil {
				t.Fatal(err)
			}
			_, err := checkDecoded(t.Context(), methods.API().ByRequest(req), req)
			switch {
			case tc.says == "" && (err != nil || !slices.Equal(req.GetUpdate().GetUpdateMask().GetPaths(), tc.want)):
				t.Errorf("got %q, %v", req.GetUpdate().GetUpdateMask().GetPaths(), err)
			case tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "hunter2")):
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}
