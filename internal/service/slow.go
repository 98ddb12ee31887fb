package service

import (
	"io"
	"net/http"
	"time"
)

// bodyTimeout is what a client may take to send a whole request. It holds for strangers, too,
// whose bodies are thrown away.
const bodyTimeout = 30 * time.Second

// timeBody ends connections that send their request's body too slowly: each of them would
// keep a goroutine and a file descriptor for as long as its client likes. Once the body has
// been read to its end there is no limit on how long a call takes.
func timeBody(next http.Handler) http.Handler { return timeBodyWithin(bodyTimeout, next) }

func timeBodyWithin(most time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		if err := control.SetReadDeadline(time.Now().Add(most)); err == nil { //nolint:forbidigo // a deadline is by this machine's clock
			r.Body = &timedBody{ReadCloser: r.Body, control: control}
		}
		next.ServeHTTP(w, r)
	})
}

// timedBody lifts the deadline at its end.
type timedBody struct {
	io.ReadCloser

	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{}) // the connection is gone if that fails
	}
	return n, err
}
