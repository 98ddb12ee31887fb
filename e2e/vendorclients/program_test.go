package vendorclients_test

import (
	"bufio"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
)

// TestProgram points the client at the program as other teams run it.
func TestProgram(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "agentsvc")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/agentsvc")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	sim := exec.CommandContext(t.Context(), program, "sim", "--listen", "127.0.0.1:0", "--seed-agents", "3", "--strict")
	stdout, err := sim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = sim.Process.Kill()
		_ = sim.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	client := godo.NewFromToken("any")
	if client.BaseURL, err = url.Parse(strings.TrimSpace(strings.TrimPrefix(line, "simulator ready at ")) + "/"); err != nil {
		t.Fatal(err)
	}
	agents, resp, err := client.AgentPlatform.ListAgents(t.Context(), nil)
	if err != nil || len(agents) != 3 || resp.Rate.Limit != 5000 {
		t.Errorf("the program answers %d agents under a limit of %d, %v", len(agents), resp.Rate.Limit, err)
	}
}
