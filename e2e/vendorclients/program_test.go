package vendorclients_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/digitalocean/godo"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestProgram points the client at the program, as docs/simulator.md tells other teams to.
func TestProgram(t *testing.T) {
	t.Parallel()
	address, stop := startProgram(t, "--listen", "127.0.0.1:0", "--seed-agents", "3", "--strict", "--deploy-seconds", "0", "--rate-per-hour", "100")
	client, ctx := godo.NewFromToken("any"), t.Context()
	if err := godo.SetBaseURL(address)(client); err != nil {
		t.Fatal(err)
	}

	agents, resp, err := client.AgentPlatform.ListAgents(ctx, nil)
	if err != nil || len(agents) != 3 || resp.Rate.Limit != 100 {
		t.Fatalf("the program answers %d agents under a limit of %d, %v", len(agents), resp.Rate.Limit, err)
	}
	made := must(client.AgentPlatform.CreateAgent(ctx, &godo.AgentCreateRequest{
		Name: "orders", Instruction: "Help.", ModelUuid: genaisim.ModelLlama, ProjectId: genaisim.DefaultProject, Region: genaisim.DefaultRegion,
	}))(t)
	check(t, "the status of the agent", must(client.AgentPlatform.GetAgent(ctx, made.Uuid))(t).Deployment.Status, "STATUS_RUNNING")

	log := requests(t, address)
	if len(log) != 3 || log[1].Effect != "created agent "+made.Uuid || log[1].Status != http.StatusOK {
		t.Errorf("the control API tells of %+v", log)
	}
	for _, r := range log {
		check(t, "departures from the contract", len(r.Deviations), 0)
	}
	check(t, "the exit code", stop(), 0)
}

// startProgram builds and starts the simulator. It returns where it listens, and what
// stops it as a terminal does and tells its exit code.
func startProgram(t *testing.T, flags ...string) (address string, stop func() int) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "agentsvc")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-o", program, "./cmd/agentsvc")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as `make build` has it, whose packages are at hand
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	sim := exec.CommandContext(t.Context(), program, append([]string{"sim"}, flags...)...)
	stdout, err := sim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() int {
		_ = sim.Process.Signal(syscall.SIGINT)
		_ = sim.Wait() // how it ended is in ProcessState
		return sim.ProcessState.ExitCode()
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("reading where the program listens: %v", err)
	}
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "simulator ready at ")
	if !ok {
		t.Fatalf("the program says %q", line)
	}
	return address, stop
}

// requests is the simulator's log, by its control API.
func requests(t *testing.T, address string) []genaisim.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/_sim/requests", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var log []genaisim.Request
	for lines := json.NewDecoder(resp.Body); ; {
		var entry genaisim.Request
		if err := lines.Decode(&entry); err == io.EOF {
			return log
		} else if err != nil {
			t.Fatal(fmt.Errorf("reading the request log: %w", err))
		}
		log = append(log, entry)
	}
}
