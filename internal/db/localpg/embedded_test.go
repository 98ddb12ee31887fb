package localpg

import (
	"archive/zip"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// archive answers with a package as the real repository has it, around programs
// (testdata/server.txz) that only tell their version.
func archive(t *testing.T) http.Handler {
	t.Helper()
	programs, err := os.ReadFile("testdata/server.txz")
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ".jar") {
			http.NotFound(w, r) // it has no checksum
			return
		}
		z := zip.NewWriter(w)
		f, err := z.Create("postgres.txz")
		if err == nil {
			_, err = f.Write(programs)
		}
		if err != nil || z.Close() != nil {
			t.Error("serving the archive:", err)
		}
	})
}

// The cases come one after the other: the module downloads one at a time.
func TestDownload(t *testing.T) {
	t.Parallel()
	t.Cleanup(http.DefaultClient.CloseIdleConnections) // the module's
	for name, tc := range map[string]struct {
		answer  func(t *testing.T) http.Handler
		timeout time.Duration
		want    string // the error, or empty
	}{
		"works": {answer: archive, timeout: time.Minute},
		"not there": {
			answer:  func(*testing.T) http.Handler { return http.NotFoundHandler() },
			timeout: time.Minute, want: "downloading Postgres: no version found",
		},
		"takes too long": {answer: func(t *testing.T) http.Handler {
			t.Helper()
			block := make(chan struct{})
			t.Cleanup(func() { close(block) })
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-block })
		}, timeout: 50 * time.Millisecond, want: context.DeadlineExceeded.Error()},
		"is no archive": {answer: func(*testing.T) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte("welcome to the hotel's network"))
			})
		}, timeout: time.Minute, want: "downloading Postgres: "},
	} {
		t.Run(name, func(t *testing.T) {
			repository := httptest.NewServer(nil)
			t.Cleanup(repository.Close)
			repository.Config.Handler = tc.answer(t)
			ctx, cancel := context.WithTimeout(t.Context(), tc.timeout)
			defer cancel()
			cache := dataDir(t)
			dir := filepath.Join(cache, "17")

			err := download(ctx, embeddedpostgres.DefaultConfig().BinaryRepositoryURL(repository.URL), cache, dir)

			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("error %v, want one that says %q", err, tc.want)
				}
				if _, err := os.Stat(dir); err == nil {
					t.Error("something that looks like a server is there")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			bin, err := inspectBinaries(t.Context(), filepath.Join(dir, "bin"))
			if err != nil || bin.major != 17 {
				t.Errorf("unpacked %v, %v", bin, err)
			}
			as, err := serverAccount()
			if err != nil {
				t.Fatal(err)
			}
			if err := as.command(t.Context(), "/", filepath.Join(dir, "bin", "initdb")).Run(); err != nil {
				t.Errorf("the server's account cannot run it: %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(cache, "unpacking-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
