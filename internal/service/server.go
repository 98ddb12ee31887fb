// Package service is the edge: the RPC handlers, the chain of stages before them,
// and what is served over HTTP beside them.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"buf.build/go/protovalidate"
	"connectrpc.com/connect"
	connectcors "connectrpc.com/cors"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
	"github.com/rs/cors"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// readyTimeout is what being ready may take to find out.
const readyTimeout = 2 * time.Second

// compressFrom is the size of an answer from which compressing it saves more than it
// costs; a single agent is below it.
const compressFrom = 8 << 10

// preflightAge is how many seconds a browser may remember what CORS allowed; the
// most that Chromium takes.
const preflightAge = 7200

// Config is what a server is made of.
type Config struct {
	// Services are those of the API; all are needed.
	Services      []Service
	Authenticator Authenticator
	Guard         *access.Guard
	// Exporter is what downloads of the history are made by; nil for none.
	Exporter Exporter
	// Resolve is for requests whose filter chooses what is changed; nil: they are refused.
	Resolve Resolver
	Log     *slog.Logger
	// Ready answers why calls cannot be served, for /readyz: the database does not
	// answer, or has another schema than this program's. It is given two seconds.
	Ready func(context.Context) error
	// Metrics is served at /metrics; nil for none.
	Metrics http.Handler
	// Meters and Tracer measure calls; nil for not at all.
	Meters metric.MeterProvider
	Tracer trace.TracerProvider
	// Origins are those of web pages that may call, such as "https://console.example.com";
	// empty for none but our own.
	Origins []string
	// MaxRequestBytes is the largest request that is read; 0 for 4 MiB.
	MaxRequestBytes int64
	// Limits are those of each caller.
	Limits CallerLimits
}

func (c Config) validate() error {
	var problems []error
	need := func(name string, there bool) {
		if !there {
			problems = append(problems, fmt.Errorf("service: %s is missing", name))
		}
	}
	for _, name := range missing(c.Services) {
		need(name, false)
	}
	need("Authenticator", c.Authenticator != nil)
	need("Guard", c.Guard != nil)
	need("Log", c.Log != nil)
	need("Ready", c.Ready != nil)
	if c.MaxRequestBytes < 0 {
		problems = append(problems, errors.New("service: MaxRequestBytes is negative"))
	}
	return errors.Join(problems...)
}

// names are those of all services.
func (c Config) names() []string {
	names := make([]string, 0, len(c.Services))
	for _, service := range c.Services {
		names = append(names, service.name)
	}
	return names
}

// Server serves gRPC, gRPC-Web and Connect, health and reflection, and a few plain
// HTTP pages, all from one port.
type Server struct {
	cfg     Config
	handler http.Handler
	health  *grpchealth.StaticChecker
	serving atomic.Bool
	// streams is done when all streams are to end; see [Server.EndStreams].
	streams    context.Context //nolint:containedctx // the life of all streams, which no call's context knows
	endStreams context.CancelCauseFunc
}

// New makes a server, which serves at once; see [Server.SetServing].
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.MaxRequestBytes == 0 {
		cfg.MaxRequestBytes = defaultMaxBytes
	}
	s := &Server{cfg: cfg, health: grpchealth.NewStaticChecker(cfg.names()...)}
	s.streams, s.endStreams = context.WithCancelCause(context.Background()) //nolint:forbidigo // the server's life, not a call's
	s.SetServing(true)
	mux := http.NewServeMux()
	if err := s.mountAPI(mux); err != nil {
		return nil, err
	}
	s.mountRest(mux)
	s.handler = requestID(recoverHTTP(cfg.Log, allowOrigins(cfg.Origins, mux)))
	return s, nil
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// SetServing tells health checks and /readyz whether to send calls here. Calls are
// served all the same: set it to false some time before shutting down, so that
// nobody meets a closed port.
func (s *Server) SetServing(serving bool) {
	s.serving.Store(serving)
	status := grpchealth.StatusNotServing
	if serving {
		status = grpchealth.StatusServing
	}
	for _, name := range append(s.cfg.names(), "") {
		s.health.SetStatus(name, status)
	}
}

func (s *Server) mountAPI(mux *http.ServeMux) error {
	validator, err := protovalidate.New()
	if err != nil {
		return fmt.Errorf("making the validator of requests: %w", err)
	}
	checks := requestChecks(validator, s.cfg.Resolve, s.cfg.Guard)
	interceptors, err := chain(s.streams, s.cfg, checks)
	if err != nil {
		return err
	}
	options := append(codecs(), limitedGzip(s.cfg.MaxRequestBytes)...)
	options = append(options, connect.WithInterceptors(interceptors...), connect.WithCompressMinBytes(compressFrom))
	writer := connect.NewErrorWriter(options...)
	rights := Rights{Authenticator: s.cfg.Authenticator, Guard: s.cfg.Guard}
	limits := newCallerLimits(s.cfg.Limits)
	api := methods.API() // here, so that a contradiction in the API stops the start
	mount := func(path string, handler http.Handler) {
		known := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if api.ByProcedure(r.URL.Path) == nil {
				unknownProcedure(w, r, writer)
				return
			}
			if r.URL.Path == agentsvcv1connect.AuditServiceExportAuditEventsProcedure {
				w = &patientWriter{ResponseWriter: w, now: time.Now} //nolint:forbidigo // a connection's deadline
			}
			handler.ServeHTTP(w, r)
		})
		limited := limits.wrap(limitBody(s.cfg.MaxRequestBytes, known), writer)
		mux.Handle(path, timeBody(identify(rights, s.cfg.Log, limited, options...)))
	}
	for _, service := range s.cfg.Services {
		mount(service.mount(options...))
	}
	if s.cfg.Exporter != nil {
		d := &downloads{exporter: s.cfg.Exporter, checks: checks, rights: rights, log: s.cfg.Log, open: s.streams, writer: writer}
		for path, handler := range d.handlers() {
			mux.Handle("GET "+path, identify(rights, s.cfg.Log, limits.wrap(handler, writer), options...))
		}
	}
	return nil
}

// mountRest mounts what needs no token.
func (s *Server) mountRest(mux *http.ServeMux) {
	limit := connect.WithReadMaxBytes(int(s.cfg.MaxRequestBytes))
	mux.Handle(grpchealth.NewHandler(s.health, limit))
	reflector := grpcreflect.NewStaticReflector(append(s.cfg.names(), grpchealth.HealthV1ServiceName)...)
	mux.Handle(grpcreflect.NewHandlerV1(reflector, limit))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, limit)) // for clients from before 2023
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, "ok", "alive")
	})
	mux.HandleFunc("GET /readyz", s.ready)
	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", s.cfg.Metrics)
	}
	mux.HandleFunc("/", notFound)
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if !s.serving.Load() {
		writeJSON(w, http.StatusServiceUnavailable, "unavailable", "shutting down")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := s.cfg.Ready(ctx); err != nil {
		id := r.Header.Get(requestIDHeader)
		s.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("request_id", id), slog.Any("error", err))
		out := present(err, id)
		writeJSON(w, http.StatusServiceUnavailable, "unavailable", "not ready: "+out.Message())
		return
	}
	writeJSON(w, http.StatusOK, "ok", "ready")
}

// allowOrigins lets pages of those origins read our answers, and asks browsers to refuse
// others. No credentials are allowed: tokens come in a header, which a page has to set, so
// a browser has nothing that it would add by itself to the call of a page that is not ours.
func allowOrigins(origins []string, next http.Handler) http.Handler {
	if len(origins) == 0 {
		return next // rs/cors takes none for all
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: connectcors.AllowedMethods(),
		AllowedHeaders: append(connectcors.AllowedHeaders(), "Authorization", requestIDHeader),
		ExposedHeaders: append(connectcors.ExposedHeaders(), requestIDHeader),
		MaxAge:         preflightAge,
	}).Handler(next)
}
