package service

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"
)

const (
	// headerTimeout is what a client may take to say what it wants.
	headerTimeout = 10 * time.Second
	// idleTimeout is longer than that of usual load balancers, so that they close
	// idle connections and never use one that we are closing.
	idleTimeout = 5 * time.Minute
	// pingAfter a quiet time, a peer is asked whether it is still there: streams and
	// waits are long and may be silent.
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
	// maxHeaderBytes leaves room for Connect GET, which carries requests in the URL, and for a
	// token of a megabyte, which is to be refused as any other wrong one is, in the protocol of
	// its caller: net/http's own refusal is understood by none of them.
	maxHeaderBytes = 1<<20 + 64<<10
	// maxStreams is how many calls one HTTP/2 connection may have under way.
	maxStreams = 1000
)

// NewHTTPServer serves HTTP/1.1 and HTTP/2, the latter with TLS and without (gRPC
// inside a network needs no certificates). tlsConfig may be nil. There is no limit
// on how long a call takes: its deadline is the caller's.
func NewHTTPServer(handler http.Handler, tlsConfig *tls.Config, log *slog.Logger) *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           handler,
		TLSConfig:         tlsConfig,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
