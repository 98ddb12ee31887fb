package service

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

func TestOneCallerLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := newCallerLimits(CallerLimits{PerSecond: 10, Burst: 20, Streams: 2})
		eager, calm := identity.Caller{PrincipalID: uuid.New()}, identity.Caller{PrincipalID: uuid.New()}
		calls := func(c identity.Caller, n int) (taken int) {
			for range n {
				if leave, err := limits.enter(c, false); err == nil {
					leave()
					taken++
				} else if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_CALLER_LIMIT {
					t.Fatal(err)
				}
			}
			return taken
		}
		if n := calls(eager, 100); n != 20 {
			t.Errorf("%d calls at once are taken, want the burst of 20", n)
		}
		if n := calls(calm, 5); n != 5 {
			t.Errorf("%d of another caller's 5 calls are taken", n)
		}
		<-time.After(time.Second)
		if n := calls(eager, 100); n != 10 {
			t.Errorf("%d calls are taken a second later, want 10", n)
		}
		var leave []func()
		for range 2 {
			l, err := limits.enter(calm, true)
			if err != nil {
				t.Fatal(err)
			}
			leave = append(leave, l)
		}
		if _, err := limits.enter(calm, true); err == nil {
			t.Error("a third stream is taken")
		}
		<-time.After(10 * forgetAfter) // who has streams open is not forgotten, with them
		if _, err := limits.enter(calm, true); err == nil {
			t.Error("a third stream is taken after a while")
		}
		leave[0]()
		if _, err := limits.enter(calm, true); err != nil {
			t.Errorf("a stream after one has ended: %v", err)
		}
		if len(limits.of) != 1 {
			t.Errorf("%d callers are remembered, want the one who is there", len(limits.of))
		}
	})
}

// TestASlowBodyEnds has a stranger send a byte of a long body, and no more.
func TestASlowBodyEnds(t *testing.T) {
	t.Parallel()
	read := make(chan error, 1)
	handler := timeBodyWithin(200*time.Millisecond, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		read <- err
	}))
	server := httptest.NewServer(handler)
	defer server.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-read:
		if err == nil {
			t.Error("the body was read to its end")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the body is still being read")
	}
}

// TestALongCallIsNoSlowBody has a call go on for longer than its body may take.
func TestALongCallIsNoSlowBody(t *testing.T) {
	t.Parallel()
	handler := timeBodyWithin(50*time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Errorf("reading the body: %v", err)
		}
		select {
		case <-r.Context().Done():
			t.Error("the call was ended")
		case <-time.After(300 * time.Millisecond):
		}
		_, _ = io.WriteString(w, "done")
	}))
	server := NewHTTPServer(handler, nil, slog.New(slog.DiscardHandler))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Shutdown(context.WithoutCancel(t.Context())) }()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+listener.Addr().String(), strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "done" {
		t.Errorf("answered %q, %v", got, err)
	}
}
