package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
)

const (
	dockerImage    = "postgres:17-alpine"
	dockerProbe    = time.Second      // an engine on this machine that takes longer is of no use for tests
	dockerPatience = 30 * time.Second // for the engine to stop, kill, freeze or remove
	dockerMark     = "docker"         // a file in the home; it names the image that the data belongs to
	dockerData     = "/var/lib/postgresql/data"
)

// quietDocker makes testcontainers-go keep its greetings to itself, and not need
// a second, privileged container that clears up: sweep does that. Both are
// settings of the process in that module, hence once.
//
//nolint:gochecknoglobals // it guards another module's
var quietDocker = sync.OnceFunc(func() {
	tclog.SetDefault(tclog.NewNoopLogger())
	if os.Getenv("TESTCONTAINERS_RYUK_DISABLED") == "" {
		_ = os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true") // the name is valid
	}
})

// docker is a server in a container: an [engine].
type docker struct {
	home   *home
	client *testcontainers.DockerClient
	base   context.Context //nolint:containedctx // the values of Start's, for Stop and others that are given none
	name   string          // of the container, and of the volume if the data is to stay
	port   int
}

var _ engine = (*docker)(nil)

// probeDocker returns a client for the engine on this machine, if one answers
// quickly.
func probeDocker(ctx context.Context) (*testcontainers.DockerClient, error) {
	quietDocker()
	ctx, cancel := context.WithTimeoutCause(ctx, dockerProbe, errors.New("no answer in time"))
	defer cancel()
	cli, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: no engine answers: %w", errUnavailable, err)
	}
	// The module remembers for the life of the process that an engine was there.
	if _, err := cli.Ping(ctx, client.PingOptions{}); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: the engine does not answer any more: %w", errUnavailable, err), cli.Close())
	}
	host, err := url.Parse(cli.DaemonHost())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", errUnavailable, err), cli.Close())
	}
	// What an engine elsewhere publishes is not on our loopback.
	if ip, _ := netip.ParseAddr(host.Hostname()); host.Scheme == "tcp" && host.Hostname() != "localhost" && !ip.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("%w: the engine is on another machine, %s", errUnavailable, host.Host), cli.Close())
	}
	return cli, nil
}

// openDocker runs a server in a container.
func openDocker(ctx context.Context, h *home, o Options) (string, engine, error) {
	image, err := h.dockerImage()
	if err != nil {
		return "", nil, err
	}
	if image == "" && h.hasCluster() {
		return "", nil, fmt.Errorf("%w: the data was made by server binaries", errUnavailable)
	}
	cli, err := probeDocker(ctx)
	if err != nil {
		if image != "" {
			return "", nil, h.inDocker() // another way would start with no data
		}
		return "", nil, err
	}
	d := &docker{home: h, client: cli, base: context.WithoutCancel(ctx), name: h.dockerName()}
	if image == "" {
		image = dockerImage
	}
	if err := d.create(ctx, image, o); err != nil {
		err = errors.Join(err, d.remove(d.base)) //nolint:contextcheck // the end of ctx may be why it failed
		if h.fresh {
			// No image and no network, most likely. Nothing is lost by another way.
			o.Log.Warn("Docker answers but does not run Postgres", "image", image, "error", err)
			err = fmt.Errorf("%w: %w", errUnavailable, errors.Join(err, os.RemoveAll(filepath.Join(h.dir, dockerMark))))
		}
		return "", nil, err
	}
	return "docker " + image, d, nil
}

// dockerImage is the image that the home's data belongs to, or empty.
func (h *home) dockerImage() (string, error) {
	b, err := os.ReadFile(filepath.Join(h.dir, dockerMark))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading where the data is: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// inDocker is the error of every other way when the data is in a Docker volume.
func (h *home) inDocker() error {
	return fmt.Errorf("the data of %s is in the Docker volume %s: start Docker, or remove the directory to start afresh",
		h.dir, h.dockerName())
}

// dockerName follows from the home's path, so that there is one container for a
// home whatever happened to the process that started it.
func (h *home) dockerName() string { return filepath.Base(h.relocated()) }

func (d *docker) create(ctx context.Context, image string, o Options) error {
	// A container of that name was left by a process that is dead: we have the lock.
	if err := d.remove(ctx); err != nil {
		return err
	}
	if d.home.fresh {
		// Left of an earlier home at the same path, whose password is gone.
		_, err := d.client.VolumeRemove(ctx, d.name, client.VolumeRemoveOptions{Force: true})
		if err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("removing an old volume: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(d.home.dir, dockerMark), []byte(image+"\n"), 0o600); err != nil {
		return fmt.Errorf("noting where the data is: %w", err)
	}
	var err error
	if d.port, err = freePort(ctx); err != nil {
		return err
	}
	all := settings(o)
	all["listen_addresses"] = "*" // of the container, which is published on loopback
	maps.DeleteFunc(all, func(name, _ string) bool { return name == "unix_socket_directories" })
	request := testcontainers.GenericContainerRequest{ContainerRequest: testcontainers.ContainerRequest{
		Image: image, Name: d.name, ExposedPorts: []string{"5432/tcp"},
		Env: map[string]string{
			"POSTGRES_USER": superuser, "POSTGRES_PASSWORD": d.home.password, "PGDATA": dockerData + "/cluster",
			"POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C.UTF-8 --no-sync",
		},
		Cmd: append([]string{"postgres"}, arguments(all)...),
		HostConfigModifier: func(hc *container.HostConfig) {
			hc.PortBindings = network.PortMap{network.MustParsePort("5432/tcp"): {{
				HostIP: netip.AddrFrom4([4]byte{127, 0, 0, 1}), HostPort: strconv.Itoa(d.port),
			}}}
		},
	}}
	if !d.home.temporary {
		request.Mounts = testcontainers.Mounts(testcontainers.VolumeMount(d.name, dockerData))
	}
	if _, err := testcontainers.GenericContainer(ctx, request); err != nil {
		return fmt.Errorf("creating a container: %w", err)
	}
	return d.start(ctx)
}

func (d *docker) url() string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, d.home.password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(d.port)), Path: "/postgres", RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (d *docker) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := d.client.ContainerStart(ctx, d.name, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("starting the container: %w", err)
	}
	var last error
	ok, err := await(ctx.Done(), func() (bool, error) {
		last = verify(ctx, d.url())
		return last == nil, nil
	})
	if err == nil && !ok {
		err = fmt.Errorf("the server in the container cannot be reached: %w", last)
	}
	return err
}

// act calls the engine with a time limit of its own.
func (d *docker) act(ctx context.Context, doing string, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, dockerPatience)
	defer cancel()
	if err := call(ctx); err != nil {
		return fmt.Errorf("%s the container: %w", doing, err)
	}
	return nil
}

func (d *docker) running(ctx context.Context) (running, paused bool, err error) {
	got, err := d.client.ContainerInspect(ctx, d.name, client.ContainerInspectOptions{})
	if err != nil || got.Container.State == nil {
		return false, false, err
	}
	return got.Container.State.Running, got.Container.State.Paused, nil
}

func (d *docker) stop() error {
	if err := d.thaw(); err != nil {
		return err
	}
	return d.act(d.base, "stopping", func(ctx context.Context) error {
		patience := int(stopPatience.Seconds())
		_, err := d.client.ContainerStop(ctx, d.name, client.ContainerStopOptions{Timeout: &patience})
		return err
	})
}

func (d *docker) crash() error {
	return d.act(d.base, "killing", func(ctx context.Context) error {
		if running, _, err := d.running(ctx); err != nil || !running {
			return err
		}
		waiting := d.client.ContainerWait(ctx, d.name, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
		if _, err := d.client.ContainerKill(ctx, d.name, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
			return err
		}
		select {
		case <-waiting.Result:
			return nil
		case err := <-waiting.Error:
			return err
		}
	})
}

func (d *docker) freeze() error {
	return d.act(d.base, "freezing", func(ctx context.Context) error {
		_, err := d.client.ContainerPause(ctx, d.name, client.ContainerPauseOptions{})
		return err
	})
}

func (d *docker) thaw() error {
	return d.act(d.base, "thawing", func(ctx context.Context) error {
		if _, paused, err := d.running(ctx); err != nil || !paused {
			return err
		}
		_, err := d.client.ContainerUnpause(ctx, d.name, client.ContainerUnpauseOptions{})
		return err
	})
}

// remove removes the container, and with it data that is in no named volume.
func (d *docker) remove(ctx context.Context) error {
	return d.act(ctx, "removing", func(ctx context.Context) error {
		_, err := d.client.ContainerRemove(ctx, d.name, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if errdefs.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// discard removes the container, unless its data is temporary and to be kept: it
// is in the container then.
func (d *docker) discard(keep bool) error {
	if d.home.temporary && keep {
		return errors.Join(d.stop(), d.client.Close(), d.home.close(false))
	}
	var err error
	if !d.home.temporary {
		err = d.stop()
	}
	return errors.Join(err, d.remove(d.base), d.client.Close(), d.home.close(!keep))
}

func (d *docker) inspect() string {
	if err := d.home.markKept(); err != nil {
		return ""
	}
	return "docker start " + d.name
}

// removeContainer removes the container of a temporary home that is being swept.
func (h *home) removeContainer(ctx context.Context) error {
	if image, err := h.dockerImage(); err != nil || image == "" {
		return err
	}
	cli, err := probeDocker(ctx)
	if err != nil {
		return err
	}
	d := &docker{home: h, client: cli, base: ctx, name: h.dockerName()}
	return errors.Join(d.remove(ctx), cli.Close())
}
