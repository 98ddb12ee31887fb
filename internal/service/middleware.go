package service

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"unicode"

	"connectrpc.com/authn"
	"connectrpc.com/connect"
	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

const (
	requestIDHeader   = "X-Request-Id"
	onBehalfOfHeader  = "Agentsvc-On-Behalf-Of"
	maxRequestIDBytes = 128
	maxUserAgentBytes = 256
)

// requestID gives every request an id: the caller's own, if it is fit for logs,
// else a new one. It stands in the request's header for all stages below, and in
// that of every answer.
func requestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestIDHeader)
		if !fitForLogs(id) {
			id = uuid.NewString()
		}
		r.Header.Set(requestIDHeader, id)
		w.Header().Set(requestIDHeader, id)
		next.ServeHTTP(w, r)
	})
}

func fitForLogs(id string) bool {
	outside := func(r rune) bool { return r <= ' ' || r > '~' }
	return id != "" && len(id) <= maxRequestIDBytes && strings.IndexFunc(id, outside) < 0
}

// recoverHTTP ends a call whose handler panicked. Once the answer has begun, only
// breaking the connection tells its reader that it is not whole.
func recoverHTTP(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := &watchedWriter{ResponseWriter: w}
		ctx := r.Context()
		defer func() {
			p := recover()
			switch p {
			case nil:
				return
			case http.ErrAbortHandler: // a handler's own way to break the connection
				panic(p) //nolint:forbidigo // net/http takes it from here
			}
			logPanic(ctx, log, p, slog.String("path", r.URL.Path), slog.String("request_id", r.Header.Get(requestIDHeader)))
			if begun.wrote {
				panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to break a connection
			}
			writeJSON(w, http.StatusInternalServerError, "internal", "internal error; give our operators the request id")
		}()
		next.ServeHTTP(begun, r)
	})
}

// watchedWriter knows whether the answer has begun.
type watchedWriter struct {
	http.ResponseWriter

	wrote bool
}

func (w *watchedWriter) WriteHeader(status int) {
	w.wrote = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(p)
}

// Flush is for connect, which looks for it on the writer itself.
func (w *watchedWriter) Flush() {
	w.wrote = true
	_ = http.NewResponseController(w.ResponseWriter).Flush() // what cannot be flushed is sent when the call ends
}

// Unwrap is for [http.ResponseController].
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Authenticator answers who credentials speak for. Its errors are *[fault.Error]; with one
// of reason PERMISSION_DENIED it answers who was denied to act for somebody else.
type Authenticator interface {
	Authenticate(ctx context.Context, c identity.Credentials) (identity.Caller, error)
}

// identify puts the caller's identity into the request's context, or answers
// UNAUTHENTICATED in the protocol that the caller speaks.
func identify(rights Rights, log *slog.Logger, next http.Handler, options ...connect.HandlerOption) http.Handler {
	check := func(ctx context.Context, r *http.Request) (any, error) {
		shown := credentials(r)
		caller, err := rights.Authenticator.Authenticate(ctx, shown)
		caller = from(caller, r)
		if fault.ReasonOf(err) == pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED {
			err = rights.Guard.Refused(ctx, caller, methods.API().ByProcedure(r.URL.Path), err)
		}
		if err != nil {
			id := r.Header.Get(requestIDHeader)
			out := present(err, id)
			if out.Code() == connect.CodeUnauthenticated {
				out.Meta().Set("WWW-Authenticate", `Bearer realm="agentsvc"`)
			}
			log.LogAttrs(ctx, levelOf(out.Code()), "caller not identified", slog.String("path", r.URL.Path),
				slog.String("address", clientAddress(r)), slog.String("request_id", id), slog.Any("error", err))
			return nil, out
		}
		return identified{caller, shown}, nil
	}
	adopt := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who, ok := authn.GetInfo(r.Context()).(identified); ok {
			r = r.WithContext(identity.WithCredentials(identity.With(r.Context(), who.caller), who.shown))
		}
		next.ServeHTTP(w, r)
	})
	return authn.NewMiddleware(check, options...).Wrap(adopt)
}

// identified is who calls, and what they showed.
type identified struct {
	caller identity.Caller
	shown  identity.Credentials
}

// from adds to a caller where the call comes from.
func from(c identity.Caller, r *http.Request) identity.Caller {
	c.RequestID, c.Address = r.Header.Get(requestIDHeader), clientAddress(r)
	c.UserAgent = printable(r.UserAgent(), maxUserAgentBytes)
	return c
}

// credentials are what a request shows of its caller. An Authorization header of another
// sort than ours is none, and no certificate makes up for it.
func credentials(r *http.Request) identity.Credentials {
	token, _ := authn.BearerToken(r)
	c := identity.Credentials{Token: strings.TrimSpace(token), OnBehalfOf: r.Header.Values(onBehalfOfHeader)}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && r.Header.Get("Authorization") == "" {
		c.Certificate = r.TLS.PeerCertificates[0]
	}
	return c
}

// clientAddress is that of the other end of the connection. Forwarding headers are
// not believed: anybody can send them.
func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// printable is s, cut to a length and fit to be stored.
func printable(s string, most int) string {
	s = s[:min(len(s), most)]
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// unknownProcedure answers for RPCs that the API does not have.
func unknownProcedure(w http.ResponseWriter, r *http.Request, writer *connect.ErrorWriter) {
	err := fault.New(pb.ErrorReason_ERROR_REASON_NOT_FOUND, "there is no method %s", r.URL.Path)
	out := present(err, r.Header.Get(requestIDHeader))
	wire := connect.NewError(connect.CodeUnimplemented, err) // the code that clients of all protocols expect
	for _, detail := range out.Details() {
		wire.AddDetail(detail)
	}
	_ = writer.Write(w, r, wire) // the client has gone
}

// notFound answers for everything else that is not there.
func notFound(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusNotFound, "not_found", "there is nothing at "+r.URL.Path)
}

// writeJSON answers in the form of Connect's errors.
func writeJSON(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	body, _ := json.Marshal(map[string]string{"code": code, "message": message}) //nolint:errchkjson // text always marshals
	_, _ = w.Write(body)                                                         // an error: the client has gone
}
