package upstream

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// maxDrain is how much of an answer nobody wants is read so that its connection
// can be used again; beyond it, a new connection is cheaper.
const maxDrain = 64 << 10

// NewTransport is a transport for [Config], to be wrapped for tracing. It speaks
// HTTP/1.1 only: there, net/http sends nothing twice but what never left at all, and GET,
// which [once] keeps it from. Its HTTP/2 side repeats more. At a few requests a second, one
// connection for each request in flight costs nothing.
func NewTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		Protocols:              protocols,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        60 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}
}

// wire watches whether a request can have left.
type wire struct{ asked, connected, reused atomic.Bool }

func (w *wire) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { w.asked.Store(true) },
		GotConn: func(info httptrace.GotConnInfo) { w.connected.Store(true); w.reused.Store(info.Reused) },
	})
}

// outcome of a request without an answer. It is [NotSent] only when we know that
// it waited for a connection and got none; from there on writing may have begun.
func (w *wire) outcome() Outcome {
	if w.asked.Load() && !w.connected.Load() {
		return NotSent
	}
	return Unknown
}

// once is the body of a request that has none. What has a body that cannot be had a second
// time is not sent a second time by net/http when a kept connection breaks, and the vendor
// counts each sending: so whoever asked gets a grant for another, see [Dropped]. Since it ends
// at once, net/http sends no body.
type once struct{}

func (once) Read([]byte) (int, error) { return 0, io.EOF }
func (once) Close() error             { return nil }

// drain ends an answer so that its connection can be used again.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, maxDrain) // what cannot be read is not missed
	_ = body.Close()
}
