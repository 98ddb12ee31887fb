package service

import (
	"compress/gzip"
	"io"
	"net/http"

	"connectrpc.com/connect"
)

// Connect has a limit of its own, but answers RESOURCE_EXHAUSTED: "come back later"
// to a request that will never be small enough. It hands errors of the body and of
// the decompressor through as they are, so the limit is set there.

const (
	// defaultMaxBytes of a request, as it is sent and decompressed.
	defaultMaxBytes = 4 << 20
	// envelopeBytes is what gRPC puts before a message.
	envelopeBytes = 5
	// drainFactor is how many times the limit is read and thrown away, so that a
	// client still writing gets to see the answer instead of a broken connection.
	drainFactor = 4
)

// limitBody lets handlers read at most limit bytes of a request.
func limitBody(limit int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = &limitedBody{
			ReadCloser: r.Body, limit: limit, left: limit + envelopeBytes,
			requestID: r.Header.Get(requestIDHeader),
		}
		next.ServeHTTP(w, r)
	})
}

type limitedBody struct {
	io.ReadCloser

	limit     int64
	left      int64 // negative once over the limit
	requestID string
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.over()
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) <= b.left {
		b.left -= int64(n)
		return n, err
	}
	n = int(b.left)
	b.left = -1
	_, _ = io.CopyN(io.Discard, b.ReadCloser, drainFactor*b.limit) // whether it works or not, the answer is the same
	return n, b.over()
}

// over is made only where it is needed: with its details it takes longer than all else
// that an empty call needs.
func (b *limitedBody) over() error { return present(tooLarge(b.limit), b.requestID) }

// limitedGzip keeps a small request from becoming a large one. It is reused from
// request to request, so its error does not know the id of the request.
func limitedGzip(limit int64) []connect.HandlerOption {
	over := present(tooLarge(limit), "")
	return []connect.HandlerOption{
		connect.WithCompression("gzip", nil, nil), // connect's own
		connect.WithCompression("gzip",
			func() connect.Decompressor { return &gunzip{limit: limit, over: over} },
			func() connect.Compressor { return gzip.NewWriter(io.Discard) }),
	}
}

type gunzip struct {
	gzip.Reader

	limit int64
	left  int64
	over  *connect.Error
}

func (g *gunzip) Reset(r io.Reader) error {
	g.left = g.limit
	return g.Reader.Reset(r)
}

func (g *gunzip) Read(p []byte) (int, error) {
	n, err := g.Reader.Read(p)
	if g.left -= int64(n); g.left < 0 {
		return 0, g.over
	}
	return n, err
}
