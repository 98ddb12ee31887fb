package localpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// binaries is a directory with a Postgres server's programs.
type binaries struct {
	dir   string
	major int
}

// distributions lists where packages put server programs outside PATH.
//
//nolint:gochecknoglobals // a constant list
var distributions = []string{
	"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                   // Fedora and its relatives
	"/usr/libexec/postgresql*",           // Alpine
	"/opt/homebrew/opt/postgresql@*/bin", // macOS on Apple's processors
	"/usr/local/opt/postgresql@*/bin",    // macOS on Intel's
	"/Applications/Postgres.app/Contents/Versions/*/bin",
	"/usr/local/pgsql/bin", // built from source
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// openBinaries runs a server from programs on this machine.
func openBinaries(ctx context.Context, h *home, o Options) (string, engine, error) {
	found := findBinaries(ctx, os.Getenv("PATH"), distributions)
	if len(found) == 0 {
		return "", nil, fmt.Errorf("%w: there are none of version %d or newer in PATH or where packages put them",
			errUnavailable, minVersion)
	}
	c, err := openCluster(ctx, h, o, found)
	if err != nil {
		return "", nil, err
	}
	return "binaries " + c.bin.dir, c, nil
}

// findBinaries returns usable server programs in the order of preference: what
// PATH says, then the newest.
func findBinaries(ctx context.Context, path string, patterns []string) []binaries {
	var found []binaries
	add := func(dirs []string) {
		var some []binaries
		for _, dir := range dirs {
			if program, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres")); err == nil {
				dir = filepath.Dir(program) // a link farm may hold postgres and not initdb
			}
			b, err := inspectBinaries(ctx, dir)
			if err == nil && !slices.Contains(found, b) && !slices.Contains(some, b) {
				some = append(some, b)
			}
		}
		slices.SortStableFunc(some, func(a, b binaries) int { return cmp.Compare(b.major, a.major) })
		found = append(found, some...)
	}
	for _, dir := range filepath.SplitList(path) {
		add([]string{dir})
	}
	var dirs []string
	for _, pattern := range patterns {
		some, _ := filepath.Glob(pattern) // the patterns are ours and right
		dirs = append(dirs, some...)
	}
	add(dirs)
	return found
}

// inspectBinaries asks the server program in dir for its version.
func inspectBinaries(ctx context.Context, dir string) (binaries, error) {
	if !filepath.IsAbs(dir) {
		return binaries{}, errors.New("not an absolute path") // a "." in PATH is not for us
	}
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return binaries{}, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output() //nolint:gosec // PATH says what to run
	if err != nil {
		return binaries{}, fmt.Errorf("asking for the version: %w", err)
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return binaries{}, fmt.Errorf("no version in %q", out)
	}
	major, err := strconv.Atoi(string(m[1]))
	if err != nil || major < minVersion {
		return binaries{}, fmt.Errorf("version %s is too old", m[1])
	}
	return binaries{dir: dir, major: major}, nil
}

// choose picks the programs for a cluster: the only ones that can read it if it
// exists, else the first.
func choose(found []binaries, data string) (binaries, error) {
	b, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		return found[0], nil //nolint:nilerr // no cluster yet
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return binaries{}, fmt.Errorf("reading the version of the cluster in %s: %w", data, err)
	}
	i := slices.IndexFunc(found, func(b binaries) bool { return b.major == major })
	if i < 0 {
		return binaries{}, fmt.Errorf("the data in %s was made by Postgres %d, and only %s is here: "+
			"install that version, or remove the directory to start afresh",
			data, major, found[0].dir)
	}
	return found[i], nil
}
