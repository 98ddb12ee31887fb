package service

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestABrokenStreamRequestIsItsSenders sends requests of a stream that break off: none is told
// that our database is away.
func TestABrokenStreamRequestIsItsSenders(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	for name, body := range map[string]string{
		"empty": "", "JSON without an envelope": "{}", "half an envelope": "\x00\x00", "half a message": "\x00\x00\x00\x00\x05{}",
		"an end and no message": "\x02\x00\x00\x00\x02{}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url+"/agentsvc.v1.AgentService/WaitAgent", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+e.token)
			req.Header.Set("Content-Type", "application/connect+json")
			resp, err := httpClient(t, false).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || !strings.Contains(string(got), `"code":"invalid_argument"`) || !strings.Contains(string(got), "INVALID_REQUEST") {
				t.Errorf("answered %q, %v", got, err)
			}
		})
	}
}
