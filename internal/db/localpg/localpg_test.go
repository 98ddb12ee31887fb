package localpg

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestTemporaryServer(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{Settings: map[string]string{"work_mem": "5MB"}})

	if !strings.HasPrefix(s.How(), "binaries /") {
		t.Errorf("How() = %q", s.How())
	}
	u, err := url.Parse(s.URL())
	if err != nil || u.Hostname() != "127.0.0.1" {
		t.Errorf("URL() = %q is not on loopback (%v)", s.URL(), err)
	}
	for setting, want := range map[string]string{
		"fsync": "off", "synchronous_commit": "on", "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
		"max_connections": "300", "TimeZone": "UTC", "work_mem": "5MB", "server_encoding": "UTF8", "is_superuser": "on",
	} {
		if got := queryText(t, s.URL(), "current_setting('"+setting+"')"); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	if got := queryText(t, s.URL(), "lower('É')"); got != "é" {
		t.Errorf("lower('É') = %q: the locale knows only ASCII", got)
	}
	data := queryText(t, s.URL(), "current_setting('data_directory')")

	u.User = url.UserPassword("postgres", "wrong")
	refused(t, u.String())
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
	refused(t, s.URL())
	if _, err := os.Stat(filepath.Dir(data)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary directory is still there: %v", err)
	}
	if err := s.Restart(t.Context()); err == nil {
		t.Error("a stopped server was restarted")
	}
}

func TestFsyncIsOnWhenAskedFor(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{Fsync: true})
	if got := queryText(t, s.URL(), "current_setting('fsync') || current_setting('full_page_writes')"); got != "onon" {
		t.Errorf("fsync and full_page_writes = %s", got)
	}
}

// Whatever a client was told is committed must be there after a crash, even
// without Fsync.
func TestCommittedRowsSurviveACrash(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{})
	execSQL(t, s.URL(), "CREATE TABLE survivors (writer int, n bigint)")

	const writers = 4
	var committed [writers]atomic.Int64
	enough := make(chan struct{}, writers*1000)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			conn, err := pgx.Connect(t.Context(), s.URL())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close(context.Background())
			for n := int64(1); ; n++ {
				if _, err := conn.Exec(t.Context(), "INSERT INTO survivors VALUES ($1, $2)", w, n); err != nil {
					return
				}
				committed[w].Store(n)
				select {
				case enough <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 200 {
		<-enough
	}
	before := s.URL()
	pid := mainPID(t, s.URL())
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	refused(t, s.URL())
	if all, err := processes(); err != nil || all[pid].pid != 0 && !all[pid].zombie {
		t.Errorf("process %d outlived the crash (%v)", pid, err)
	}

	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.URL() != before {
		t.Errorf("the URL changed from %s to %s", before, s.URL())
	}
	for w := range writers {
		var last int64
		conn, err := pgx.Connect(t.Context(), s.URL())
		if err != nil {
			t.Fatal(err)
		}
		err = conn.QueryRow(t.Context(), "SELECT coalesce(max(n), 0) FROM survivors WHERE writer = $1", w).Scan(&last)
		if err := errors.Join(err, conn.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		// One more may have been committed than its writer was told of.
		if told := committed[w].Load(); last != told && last != told+1 {
			t.Errorf("writer %d was told that %d rows are committed, and %d are there", w, told, last)
		}
	}
}

func TestRestartOfARunningServerIsOrderly(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{})
	execSQL(t, s.URL(), "CREATE UNLOGGED TABLE scratch AS SELECT 1 AS one") // emptied by recovery only
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := queryText(t, s.URL(), "SELECT count(*) FROM scratch"); got != "1" {
		t.Errorf("an unlogged table has %s rows, want 1: the shutdown was a crash", got)
	}
}

func TestFrozenServerAnswersAgainWhenThawed(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{})
	conn, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	t.Cleanup(func() { _ = s.Thaw() })
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT 1")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("a frozen server answered: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if err := s.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("after the thaw: %v", err)
	}
}

func TestFrozenServerCanBeStopped(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{DataDir: dataDir(t)})
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func TestServerGivenByURL(t *testing.T) {
	t.Parallel()
	owner := startServer(t, Options{})
	s, err := Start(t.Context(), Options{URL: owner.URL()})
	if err != nil {
		t.Fatal(err)
	}
	if s.How() != "url" || s.URL() != owner.URL() {
		t.Errorf("How() = %q, URL() = %q", s.How(), s.URL())
	}
	for name, err := range map[string]error{
		"crash": s.Crash(), "restart": s.Restart(t.Context()), "freeze": s.Freeze(), "thaw": s.Thaw(),
	} {
		if !errors.Is(err, ErrNotOwned) {
			t.Errorf("%s: %v, want ErrNotOwned", name, err)
		}
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if got := queryText(t, owner.URL(), "SELECT 1"); got != "1" {
		t.Error("Stop stopped a server that is not ours")
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	broken := source{"broken", func(context.Context, *home, Options) (string, engine, error) {
		return "", nil, errors.New("disk full")
	}}
	missing := source{"missing", func(context.Context, *home, Options) (string, engine, error) {
		return "", nil, errUnavailable
	}}
	for name, tc := range map[string]struct {
		gaveUp  bool
		options Options
		sources []source
		want    []string
	}{
		"nothing there":      {sources: []source{missing}, want: []string{"apt-get install", "start Docker", "TEST_DATABASE_URL"}},
		"there but broken":   {sources: []source{missing, broken, missing}, want: []string{"starting Postgres", "disk full"}},
		"nobody at the URL":  {options: Options{URL: "postgres://127.0.0.1:1/x"}, want: []string{"given by URL", "connecting"}},
		"the caller gave up": {gaveUp: true, sources: []source{{"server binaries", openBinaries}}, want: []string{"Postgres"}},
		"a setting makes no sense": {
			sources: []source{{"server binaries", openBinaries}},
			options: Options{Settings: map[string]string{"shared_buffers": "a lot"}}, want: []string{"the server ended", "shared_buffers"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tc.gaveUp {
				cancel()
			}
			s, err := start(ctx, tc.options, tc.sources)
			if err == nil {
				t.Fatal("no error", s.Stop())
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestStopAndStartAtOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { _ = s.Restart(t.Context()) }) // may come after Stop, and say so
		wg.Go(func() { _ = s.Crash() })
		wg.Go(func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	refused(t, s.URL())
}
