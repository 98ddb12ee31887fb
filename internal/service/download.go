package service

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

const (
	// rowsTrailer and digestTrailer come after a download that is whole: how many events it has, and
	// the SHA-256 of all that came before, as it is without compression.
	rowsTrailer   = "Agentsvc-Rows"
	digestTrailer = "Agentsvc-Sha256"
	// sendPatience is how long a client may take nothing of a download.
	sendPatience = 30 * time.Second
)

// Exporter makes exports of the history and reports of it.
type Exporter interface {
	Export(ctx context.Context, caller identity.Caller, req *pb.ExportAuditEventsRequest, send audit.Send) error
}

// downloads are plain HTTP's way to the history: for people with a browser or curl, and for systems that
// fetch files. The token comes in the header as with the API; a URL ends up in logs.
type downloads struct {
	exporter Exporter
	checks   []requestCheck
	rights   Rights
	log      *slog.Logger
	open     context.Context //nolint:containedctx // the life of all streams, which no call's context knows
	writer   *connect.ErrorWriter
}

func (d *downloads) handlers() map[string]http.Handler {
	return map[string]http.Handler{
		"/audit/export.csv": d.export("text/csv; charset=utf-8; header=present", map[string]pb.AuditExportFormat{
			"": pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_CSV,
		}),
		"/audit/export.jsonl": d.export("application/x-ndjson", map[string]pb.AuditExportFormat{
			"":     pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_JSON_LINES,
			"ocsf": pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_OCSF,
		}),
	}
}

// export serves one kind of file. formats are what ?format= may say.
func (d *downloads) export(contentType string, formats map[string]pb.AuditExportFormat) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := newDownload(w, r, contentType)
		defer out.release()
		err := d.exportTo(r, out, formats)
		if err == nil {
			return
		}
		d.fail(r, err)
		if out.begun {
			panic(http.ErrAbortHandler) //nolint:forbidigo // only a broken connection tells the client that it has not got all
		}
		_ = d.writer.Write(w, r, present(err, r.Header.Get(requestIDHeader))) // an error: the client has gone
	})
}

func (d *downloads) exportTo(r *http.Request, out *download, formats map[string]pb.AuditExportFormat) error {
	if r.Method != http.MethodGet {
		return fault.Invalid("method", "only GET downloads")
	}
	query := r.URL.Query()
	format, ok := formats[query.Get("format")]
	if !ok {
		return fault.Invalid("format", "there is no such format of this file")
	}
	query.Del("format")
	filter, err := audit.FilterOf(query)
	if err != nil {
		return err
	}
	ctx, release := whileOpen(r.Context(), d.open)
	defer release()
	req := &pb.ExportAuditEventsRequest{Filter: filter, Format: format}
	method := methods.API().ByRequest(req)
	for _, c := range d.checks { // as the chain does with an RPC
		if ctx, err = c.check(ctx, method, req); err != nil {
			return err
		}
	}
	ctx, forget := d.rights.while(ctx, method, req)
	defer forget()
	err = d.exporter.Export(ctx, caller(ctx), req, func(piece *pb.ExportAuditEventsResponse) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if end := piece.GetEnd(); end != nil {
			return out.end(end)
		}
		_, err := out.Write(piece.GetData())
		return err
	})
	return whyEnded(ctx, err)
}

func (d *downloads) fail(r *http.Request, err error) {
	err = db.Classify(err)
	id := r.Header.Get(requestIDHeader)
	code := present(err, id).Code()
	who := caller(r.Context())
	d.log.LogAttrs(r.Context(), levelOf(code), "download failed", slog.String("path", r.URL.Path), slog.String("code", code.String()),
		slog.String("reason", fault.ReasonOf(err).String()), slog.String("request_id", id), slog.String("caller", who.Name), slog.Any("error", err))
}

// download is a file on its way to a client.
type download struct {
	w     *patientWriter
	to    io.Writer
	zip   *gzip.Writer // nil: it is sent as it is
	begun bool
	kind  string
	name  string
}

func newDownload(w http.ResponseWriter, r *http.Request, contentType string) *download {
	d := &download{
		w:    &patientWriter{ResponseWriter: w, now: time.Now}, //nolint:forbidigo // a connection's deadline
		kind: contentType, name: "audit-" + r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:],
	}
	d.to = d.w
	if takesGzip(r.Header.Values("Accept-Encoding")) {
		d.zip, _ = gzip.NewWriterLevel(d.w, gzip.BestSpeed) // the level is one
		d.to = d.zip
	}
	return d
}

// begin writes the header. It is not written before there is something to send, so that what goes wrong
// before can still be told.
func (d *download) begin() {
	if d.begun {
		return
	}
	d.begun = true
	h := d.w.Header()
	h.Set("Content-Type", d.kind)
	h.Set("Content-Disposition", `attachment; filename="`+d.name+`"`)
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Encoding, Authorization")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Trailer", rowsTrailer+", "+digestTrailer)
	if d.zip != nil {
		h.Set("Content-Encoding", "gzip")
	}
	d.w.WriteHeader(http.StatusOK)
}

func (d *download) Write(data []byte) (int, error) {
	d.begin()
	return d.to.Write(data)
}

// end says that the file is whole.
func (d *download) end(end *pb.AuditExportEnd) error {
	d.begin()
	if d.zip != nil {
		if err := d.zip.Close(); err != nil {
			return fmt.Errorf("ending the compressed file: %w", err)
		}
	}
	d.w.Header().Set(rowsTrailer, strconv.FormatInt(end.GetRows(), 10))
	d.w.Header().Set(digestTrailer, end.GetSha256())
	return nil
}

// release takes the deadline off a connection that may be used again.
func (d *download) release() { d.w.forgive() }

// takesGzip says that a client takes compressed answers.
func takesGzip(accept []string) bool {
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		coding, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			quality := strings.ReplaceAll(params, " ", "")
			return quality != "q=0" && quality != "q=0.0" && quality != "q=0.00" && quality != "q=0.000"
		}
	}
	return false
}

// patientWriter breaks a connection of which nothing is taken for too long: whoever waits for it holds
// memory, and a place among those that export.
type patientWriter struct {
	http.ResponseWriter

	now func() time.Time
}

func (w *patientWriter) Write(data []byte) (int, error) {
	w.hurry()
	return w.ResponseWriter.Write(data)
}

// Flush is for connect, which looks for it on the writer itself.
func (w *patientWriter) Flush() {
	w.hurry()
	_ = http.NewResponseController(w.ResponseWriter).Flush() // what cannot be flushed is sent when the call ends
}

// hurry sets the time by which the next piece must be taken. A connection that knows no deadlines goes without.
func (w *patientWriter) hurry() {
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(w.now().Add(sendPatience))
}

func (w *patientWriter) forgive() {
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Time{}) // as above
}

// Unwrap is for [http.ResponseController].
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
