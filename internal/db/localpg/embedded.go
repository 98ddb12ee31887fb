package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// downloadVersion is the server that is downloaded where there is none.
const downloadVersion = embeddedpostgres.V17

// openDownload runs a server from programs that are downloaded once. They are
// run like any others; only fetching them is left to the embedded-postgres
// module, which cannot run them for root nor tie them to our life.
func openDownload(ctx context.Context, h *home, o Options) (string, engine, error) {
	cache, err := downloadDir()
	if err != nil {
		return "", nil, err
	}
	config := embeddedpostgres.DefaultConfig().Version(downloadVersion)
	dir := filepath.Join(cache, string(downloadVersion))
	if _, err := os.Stat(filepath.Join(dir, "bin", "initdb")); errors.Is(err, fs.ErrNotExist) {
		o.Log.Info("downloading Postgres, this once", "version", string(downloadVersion), "to", dir)
		if err := download(ctx, config, cache, dir); err != nil {
			return "", nil, fmt.Errorf("%w: %w", errUnavailable, err)
		}
	}
	bin, err := inspectBinaries(ctx, filepath.Join(dir, "bin"))
	if err != nil {
		return "", nil, fmt.Errorf("the downloaded Postgres in %s does not work: %w", dir, err)
	}
	c, err := openCluster(ctx, h, o, []binaries{bin})
	if err != nil {
		return "", nil, err
	}
	return "embedded " + bin.dir, c, nil
}

// downloadDir is where downloads are kept: the user's cache, or if we are root a
// place that the server's account can reach.
func downloadDir() (string, error) {
	if os.Geteuid() == 0 {
		const dir = "/var/tmp/agentsvc-postgres-download"
		return dir, ownDir(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("looking for the user's cache: %w", err)
	}
	dir = filepath.Join(dir, "agentsvc", "postgres")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("creating a directory for downloads: %w", err)
	}
	return dir, nil
}

// download fetches and unpacks the programs into dir, which appears only when
// they are complete. The module that does it knows no contexts: when ctx ends,
// its work goes on in the background and is wasted.
func download(ctx context.Context, config embeddedpostgres.Config, cache, dir string) error {
	work, err := os.MkdirTemp(cache, "unpacking-")
	if err != nil {
		return fmt.Errorf("creating a directory to unpack in: %w", err)
	}
	// The module fetches, unpacks, makes a cluster and starts it. For it to stop
	// after the second step its data path is one that cannot exist: below a file.
	file := filepath.Join(work, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return fmt.Errorf("preparing to unpack: %w", err)
	}
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	unpacked := filepath.Join(work, "unpacked")
	module := embeddedpostgres.NewDatabase(config.
		Port(uint32(port)).
		CachePath(work).
		RuntimePath(filepath.Join(work, "runtime")).
		BinariesPath(unpacked).
		DataPath(filepath.Join(file, "data")))

	finished := make(chan error, 1)
	go func() {
		err := unpack(module, unpacked, dir)
		finished <- errors.Join(err, os.RemoveAll(work))
	}()
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
		return fmt.Errorf("downloading Postgres: %w", context.Cause(ctx))
	}
}

// unpack has the module do its part and moves the result to dir.
func unpack(module *embeddedpostgres.EmbeddedPostgres, unpacked, dir string) error {
	err := module.Start() // always an error; what matters is how far it came
	if _, statErr := os.Stat(filepath.Join(unpacked, "bin", "initdb")); statErr != nil {
		return fmt.Errorf("downloading Postgres: %w", err)
	}
	err = os.Rename(unpacked, dir)
	if _, statErr := os.Stat(dir); statErr == nil {
		return nil // ours, or that of somebody who was faster
	}
	return err
}
