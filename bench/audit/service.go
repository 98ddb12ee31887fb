package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/seal"
)

// service is the real binary, running.
type service struct {
	url     string
	command *exec.Cmd
	dir     string
}

// serve builds and runs it, without workers: nobody asks the vendor.
func serve(ctx context.Context, database string) (*service, error) {
	dir, err := os.MkdirTemp("", "agentsvc-bench-")
	if err != nil {
		return nil, err
	}
	s := &service{dir: dir}
	binary, keys := filepath.Join(dir, "agentsvc"), filepath.Join(dir, "seal.keys")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/agentsvc") //nolint:gosec // a path of our own
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("building: %w", err)
	}
	key, err := seal.NewKey("bench")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(keys, []byte(key), 0o600); err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	s.url = "http://" + address
	s.command = exec.CommandContext(ctx, binary, "serve") //nolint:gosec // built above
	s.command.Cancel = func() error { return s.command.Process.Signal(os.Interrupt) }
	s.command.Env = append(os.Environ(), "DATABASE_URL="+database, "DIGITALOCEAN_TOKEN=bench", "AGENTSVC_UPSTREAM_URL=http://127.0.0.1:1",
		"AGENTSVC_LISTEN="+address, "AGENTSVC_SEAL_KEYS_FILE="+keys, "AGENTSVC_LOG_LEVEL=error", "AGENTSVC_WORKERS=0")
	s.command.Stderr = os.Stderr
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	return s, s.ready(ctx)
}

func (s *service) ready(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		if resp, err := transport().RoundTrip(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	s.stop()
	return errors.New("the service did not get ready")
}

func (s *service) stop() {
	_ = s.command.Process.Signal(os.Interrupt)
	_ = s.command.Wait()
	_ = os.RemoveAll(s.dir)
}

// resident is how many bytes of memory the service has; 0 where the system does not tell.
func (s *service) resident() int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.command.Process.Pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// peak looks at the memory until it is told to stop, and answers the most it saw.
func (s *service) peak() (stop func() int64) {
	done, peak := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		most := s.resident()
		for {
			select {
			case <-done:
				peak <- max(most, s.resident())
				return
			case <-tick.C:
				most = max(most, s.resident())
			}
		}
	}()
	return func() int64 { close(done); return <-peak }
}

func (s *service) client(token string) agentsvcv1connect.AuditServiceClient {
	return agentsvcv1connect.NewAuditServiceClient(&http.Client{Transport: bearer(token)}, s.url, connect.WithAcceptCompression("gzip", nil, nil))
}

type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return transport().RoundTrip(r)
}

// transport keeps its connections.
var transport = sync.OnceValue(func() *http.Transport { //nolint:gochecknoglobals // one for the process
	return &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
})
