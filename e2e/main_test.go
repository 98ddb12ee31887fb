package e2e_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/agentsvc/agentsvc/internal/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// binary is the path of the program under test, built when the first test asks for
// it. It is global because tests have nothing in common that could carry it.
//
//nolint:gochecknoglobals // see above
var binary = sync.OnceValues(build)

// build builds the program into a folder that is removed when this process ends,
// however it ends.
func build() (string, error) {
	dir, err := os.MkdirTemp("", "agentsvc-e2e-")
	if err != nil {
		return "", fmt.Errorf("making a folder for the binary: %w", err)
	}
	if err := removeAtEnd(dir); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "agentsvc")
	args := []string{"build", "-buildvcs=false", "-o", path}
	if raced {
		args = append(args, "-race")
	}
	if err := lookAtSources(); err != nil {
		return "", err
	}
	out, err := exec.Command("go", append(args, "../cmd/agentsvc")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	return path, nil
}

// lookAtSources has `go test` know what the binary is built of: it notes which files and
// folders a test looks at, and repeats a result from its cache only while they are as they
// were. The compiler runs in a process of its own, so what that reads is not noted.
func lookAtSources() error {
	for _, root := range []string{"../cmd", "../gen", "../internal", "../migrations"} {
		if err := filepath.WalkDir(root, func(string, fs.DirEntry, error) error { return nil }); err != nil {
			return fmt.Errorf("looking at what the binary is built of: %w", err)
		}
	}
	return nil
}

// removeAtEnd leaves a shell behind that waits for the end of a pipe which only this
// process holds, and then removes dir. So neither a crash nor Ctrl-C leaves it there.
func removeAtEnd(dir string) error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	janitor := exec.Command("sh", "-c", `trap "" HUP INT TERM; cat >/dev/null; rm -rf "$1"`, "sh", dir) // it outlives every context on purpose
	janitor.Stdin = reader
	if err := janitor.Start(); err != nil {
		return fmt.Errorf("starting what removes the binary: %w", err)
	}
	held = writer
	return reader.Close()
}

// held keeps the pipe of removeAtEnd open: a file that nobody refers to is closed.
//
//nolint:gochecknoglobals // it is to live as long as the process
var held *os.File
