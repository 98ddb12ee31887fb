package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/agentsvc/agentsvc/internal/methods"
)

func TestAccessIsDocumentedAsItIs(t *testing.T) {
	t.Parallel()
	var now strings.Builder
	if err := runAccess(nil, &now, io.Discard); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != now.String() {
		t.Error("docs/access.md is not what `agentsvc access` prints: run `make generate`")
	}
	if n := strings.Count(now.String(), "\n| `"); n != len(methods.API().All()) {
		t.Errorf("it has %d methods of %d", n, len(methods.API().All()))
	}
	for _, row := range []string{
		"| `AgentService.DeleteAgent` | delete |  | yes | yes |  | yes |  |  |",
		"| `TeamService.Freeze` | update |  |  |  |  | yes |  | yes |",
		"| `TeamService.WhoAmI` | read | yes | yes | yes | yes | yes |  | yes |",
		"| `ResourceService.TransferResource` | update |  |  | yes |  | yes |  |  |",
	} {
		if !strings.Contains(now.String(), row+"\n") {
			t.Errorf("it lacks %s", row)
		}
	}
}
