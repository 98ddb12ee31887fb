package methods_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// TestTheStrategiesAreWrittenUp compares the table of docs/architecture.md with what the API
// can declare.
func TestTheStrategiesAreWrittenUp(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n| strategy | how | for |\n| --- | --- | --- |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var written, declared []string
	for row := range strings.Lines(table) {
		written = append(written, strings.TrimSpace(strings.SplitN(row, "|", 3)[1]))
	}
	for number, name := range pb.Reconcile_name {
		if number != int32(pb.Reconcile_RECONCILE_UNSPECIFIED) {
			declared = append(declared, strings.TrimPrefix(name, "RECONCILE_"))
		}
	}
	slices.Sort(written)
	slices.Sort(declared)
	if !slices.Equal(written, declared) {
		t.Errorf("the table has %q, the API %q", written, declared)
	}
}
