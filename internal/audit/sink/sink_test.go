package sink_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/audit/ledger"
	"github.com/agentsvc/agentsvc/internal/audit/sink"
	"github.com/agentsvc/agentsvc/internal/audit/verify"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type book struct {
	pool   *pgxpool.Pool
	store  *db.Store
	sealer *ledger.Sealer
	keys   note.Verifiers
}

func newBook(t *testing.T) *book {
	t.Helper()
	b := &book{pool: dbtest.New(t)}
	b.store = db.New(b.pool)
	private, public, err := evidence.NewKey("log.example.com")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(private), 0o600); err != nil {
		t.Fatal(err)
	}
	signers, err := evidence.LoadSigners(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.keys, err = evidence.Verifiers(public); err != nil {
		t.Fatal(err)
	}
	b.sealer = ledger.NewSealer(ledger.Config{Store: b.store, Log: slog.New(slog.DiscardHandler), Signers: signers})
	return b
}

// seal writes events and seals them.
func (b *book) seal(t *testing.T, n int, reason string) {
	t.Helper()
	b.exec(t, `INSERT INTO audit_events (id, actor, action, outcome, origin, reason)
		SELECT gen_random_uuid(), 'somebody', 'UPDATE', 'ACCEPTED', 'API', $2::text FROM generate_series(1, $1::integer)`, n, reason)
	if err := b.sealer.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (b *book) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := b.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (b *book) sink(name string, target sink.Target) *sink.Sink {
	return &sink.Sink{Name: name, Store: b.store, Target: target, Log: slog.New(slog.DiscardHandler)}
}

// drain sends until there is nothing left.
func drain(t *testing.T, s *sink.Sink) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = s.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// receiver is a webhook's other side.
type receiver struct {
	mu          sync.Mutex
	places      []int64
	checkpoints []string
	deliveries  map[string]int
	largest     int
	refuse      int // so many calls, after reading them
}

const secret = "a secret that is shared"

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	at, signed, _ := strings.Cut(strings.TrimPrefix(req.Header.Get(sink.SignatureHeader), "t="), ",v1=")
	if sink.Signature([]byte(secret), at, body) != signed {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.refuse > 0 {
		r.refuse--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var got struct {
		Type   string `json:"type"`
		Note   string `json:"note"`
		Events []struct {
			Index int64 `json:"index"`
		} `json:"events"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.largest = max(r.largest, len(body))
	r.deliveries[req.Header.Get(sink.DeliveryHeader)]++
	for _, e := range got.Events {
		r.places = append(r.places, e.Index)
	}
	if got.Type == "audit.checkpoint" {
		r.checkpoints = append(r.checkpoints, got.Note)
	}
}

func newReceiver(t *testing.T) (r *receiver, url string) {
	t.Helper()
	r = &receiver{deliveries: map[string]int{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, server.URL
}

// inOrder fails the test unless the places are 0 to n-1, each once.
func inOrder(t *testing.T, places []int64, n int) {
	t.Helper()
	if len(places) != n {
		t.Fatalf("%d events arrived, want %d", len(places), n)
	}
	for i, place := range places {
		if place != int64(i) {
			t.Fatalf("place %d arrived as number %d", place, i)
		}
	}
}

func TestAWebhookIsToldEverythingInOrder(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	r, url := newReceiver(t)
	s := b.sink("webhook", sink.NewWebhook(url, []byte(secret)))
	drain(t, s)
	b.seal(t, 250, "why")
	b.seal(t, 3, strings.Repeat("long ", 300_000)) // each goes alone
	drain(t, s)
	inOrder(t, r.places, 253)
	if r.largest > 3<<20 {
		t.Errorf("a delivery had %d bytes", r.largest)
	}
	if len(r.checkpoints) != 2 {
		t.Fatalf("%d checkpoints arrived", len(r.checkpoints))
	}
	for i, size := range []int64{250, 253} {
		if c, err := evidence.Open(r.checkpoints[i], b.keys); err != nil || c.Size != size {
			t.Errorf("checkpoint %d: %v, %v", i, c, err)
		}
	}
}

// A webhook that fails is waited for, and what it did not take is sent again under the same
// name.
func TestAWebhookThatFails(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	r, url := newReceiver(t)
	s := b.sink("webhook", sink.NewWebhook(url+"/?token=hidden", []byte(secret)))
	b.seal(t, 10, "")
	drainOne := func() error {
		t.Helper()
		_, err := s.Round(t.Context())
		return err
	}
	if err := drainOne(); err != nil { // makes the cursor
		t.Fatal(err)
	}
	r.refuse = 1
	if err := drainOne(); err == nil || !strings.Contains(err.Error(), "503") {
		t.Fatalf("the failure is told as %v", err)
	}
	if err := drainOne(); err != nil || len(r.places) != 0 {
		t.Fatalf("it was tried again at once: %v", err)
	}
	var failures int
	var last string
	row := b.pool.QueryRow(t.Context(), "SELECT failures, last_error FROM audit_sinks WHERE retry_at > now() AND next_index = 0")
	if err := row.Scan(&failures, &last); err != nil || failures != 1 || !strings.Contains(last, "503") {
		t.Fatalf("%d failures, %q, %v", failures, last, err)
	}
	// Changes go on meanwhile, and nothing is lost.
	b.seal(t, 10, "")
	b.exec(t, "UPDATE audit_sinks SET retry_at = now()")
	drain(t, s)
	inOrder(t, r.places, 20)

	dead := b.sink("dead", sink.NewWebhook("http://127.0.0.1:1/?token=hidden", []byte(secret)))
	_, _ = dead.Round(t.Context())
	if _, err := dead.Round(t.Context()); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("an address where nobody is: %v", err)
	}
}

func TestAWebhookFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	r, url := newReceiver(t)
	b.seal(t, 1, "")
	from := httptest.NewServer(http.RedirectHandler(url, http.StatusTemporaryRedirect))
	defer from.Close()
	s := b.sink("webhook", sink.NewWebhook(from.URL, []byte(secret)))
	_, _ = s.Round(t.Context())
	if _, err := s.Round(t.Context()); err == nil || !strings.Contains(err.Error(), "307") {
		t.Errorf("a redirect: %v", err)
	}
	if len(r.places) > 0 {
		t.Error("it was followed")
	}
}

// A process that dies after the sending and before it was noted has it sent again: at least
// once.
func TestWhatWasSentAndNotNotedIsSentAgain(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.seal(t, 5, "")
	r, url := newReceiver(t)
	webhook := sink.NewWebhook(url, []byte(secret))
	_, err := b.sink("webhook", webhook).Round(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancel(t.Context())
	dying := b.sink("webhook", target(func(ctx context.Context, batch sink.Batch) error {
		err := webhook.Send(ctx, batch)
		kill()
		return err
	}))
	if _, err := dying.Round(ctx); err == nil {
		t.Error("the dead one notes what it sent")
	}
	drain(t, b.sink("webhook", webhook))
	if len(r.places) != 10 || r.deliveries["events-0-4"] != 2 {
		t.Errorf("arrived: %v, %v", r.places, r.deliveries)
	}
}

type target func(ctx context.Context, batch sink.Batch) error

func (f target) Send(ctx context.Context, batch sink.Batch) error { return f(ctx, batch) }

func TestReplicasSendOneAtATime(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.seal(t, 1000, "")
	r, url := newReceiver(t)
	var replicas sync.WaitGroup
	for range 4 {
		replicas.Go(func() {
			s := b.sink("webhook", sink.NewWebhook(url, []byte(secret)))
			for range 30 {
				if _, err := s.Round(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			}
		})
	}
	replicas.Wait()
	drain(t, b.sink("webhook", sink.NewWebhook(url, []byte(secret))))
	inOrder(t, r.places, 1000)
}

// What goes to standard output is an export, and verifies.
func TestLinesVerify(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.seal(t, 150, "a \"quoted\" reason\nof two lines")
	var out strings.Builder
	drain(t, b.sink("stdout", &sink.Writer{W: &out}))
	row, err := b.store.LatestCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := evidence.Open(row.Note, b.keys)
	if err != nil {
		t.Fatal(err)
	}
	report, err := verify.Export(strings.NewReader(out.String()), verify.Options{Checkpoints: []evidence.Checkpoint{c}})
	if err != nil || !report.OK() || report.Checked != 150 || report.Other != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

// A pipe that nobody reads holds nobody up for ever, and is written to by one at a time.
func TestAWriterThatTakesNothing(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	w := &sink.Writer{W: writer}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if err := w.Send(ctx, sink.Batch{Lines: [][]byte{[]byte("{}")}}); !errors.Is(err, context.Canceled) {
			t.Fatalf("a pipe that nobody reads: %v", err)
		}
	}
	read := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(reader)
		read <- string(text)
	}()
	if err := w.Send(t.Context(), sink.Batch{Lines: [][]byte{[]byte("{}")}}); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	if got := <-read; got != "{}\n{}\n" {
		t.Errorf("read %q", got)
	}
}

func TestCheckpointsAndLeavesGoToAFile(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	path := filepath.Join(t.TempDir(), "checkpoints")
	f := &sink.File{Path: path, Store: b.store, Log: slog.New(slog.DiscardHandler)}
	round := func() {
		t.Helper()
		if err := f.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	round()
	for i := range 5 {
		b.seal(t, 100, "")
		if i != 2 { // one is caught up with
			round()
		}
		// A crash while something was written.
		for _, name := range []string{path, path + sink.LeavesSuffix} {
			file, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = file.WriteString("\nlog.example.com\n9")
			file.Close()
		}
	}
	round()
	got, err := evidence.LoadFile(path, b.keys)
	if err != nil || len(got) != 5 || got[4].Size != 500 {
		t.Fatalf("read %+v, %v", got, err)
	}
	leaves, err := os.ReadFile(path + sink.LeavesSuffix)
	if err != nil {
		t.Fatal(err)
	}
	var tree evidence.Range
	for i := 0; i+32 <= len(leaves); i += 32 {
		tree.Add(tlog.Hash(leaves[i : i+32]))
	}
	if tree.Size() != 500 || tree.Root() != got[4].Root {
		t.Errorf("%d leaves, whose root is %s", tree.Size(), tree.Root())
	}

	// The file remembers what the database was made to forget.
	b.exec(t, "SET session_replication_role = replica; DELETE FROM audit_leaves WHERE index >= 490; DELETE FROM audit_checkpoints; SET session_replication_role = DEFAULT")
	if err := f.Round(t.Context()); err == nil || !strings.Contains(err.Error(), "CUT") {
		t.Errorf("a history that was cut: %v", err)
	}
}
