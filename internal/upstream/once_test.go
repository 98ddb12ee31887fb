package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// rawServer answers requests on bare connections. answer gets the number of the
// request on its connection, from 0, and says whether to answer it and whether to
// keep the connection.
type rawServer struct {
	listener net.Listener
	answer   func(nth int) (reply, keep bool)
	requests atomic.Int32
	done     sync.WaitGroup
}

func startRaw(t *testing.T, answer func(nth int) (reply, keep bool)) *rawServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{listener: listener, answer: answer}
	s.done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.done.Go(func() { s.serve(conn) })
		}
	})
	return s
}

// stop waits for the connections to end, so the client's must be closed before.
func (s *rawServer) stop() {
	s.listener.Close()
	s.done.Wait()
}

func (s *rawServer) serve(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for nth := 0; ; nth++ {
		r, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		s.requests.Add(1)
		reply, keep := s.answer(nth)
		if reply {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		}
		if !keep {
			return
		}
	}
}

// changes are one of each verb, with and without a body.
func changes() map[string]proto.Message {
	return map[string]proto.Message{
		"POST with a body":    &pb.CreateAgentRequest{Name: new("Ada")},
		"PUT with a body":     &pb.UpdateAgentRequest{Uuid: agentID, K: proto.Int32(1)},
		"PUT without a body":  &pb.RegenerateAgentApiKeyRequest{AgentUuid: agentID, ApiKeyUuid: childID},
		"DELETE without body": &pb.DeleteAgentRequest{Uuid: agentID},
	}
}

func call(t *testing.T, c *Client, req proto.Message) error {
	t.Helper()
	m := methods.API().ByRequest(req)
	_, err := c.Do(t.Context(), m, req, m.Output.New().Interface())
	return err
}

// TestChangesAreSentOnce drops a connection that was used before when a change
// has arrived: where net/http would repeat a GET by itself.
func TestChangesAreSentOnce(t *testing.T) {
	t.Parallel()
	for name, req := range changes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRaw(t, func(nth int) (bool, bool) { return nth == 0, nth == 0 })
			defer s.stop()
			transport := NewTransport()
			defer transport.CloseIdleConnections()
			c := client(t, "http://"+s.listener.Addr().String(), func(cfg *Config) { cfg.Transport = transport })

			if err := call(t, c, &pb.GetAgentRequest{Uuid: agentID}); err != nil {
				t.Fatal(err)
			}
			if e := failure(t, call(t, c, req)); e.Outcome != Unknown {
				t.Errorf("%v: %v", e, e.Outcome)
			}
			if n := s.requests.Load(); n != 2 {
				t.Errorf("%d requests arrived for a read and a change", n)
			}
		})
	}
}

// TestReadsAreSentOnce has the same done to a read, which net/http would repeat by itself: the
// vendor counts each request, so each takes a grant. Whoever reads is told that it may ask again.
func TestReadsAreSentOnce(t *testing.T) {
	t.Parallel()
	s := startRaw(t, func(nth int) (bool, bool) { return nth == 0, nth == 0 })
	defer s.stop()
	transport := NewTransport()
	defer transport.CloseIdleConnections()
	c := client(t, "http://"+s.listener.Addr().String(), func(cfg *Config) { cfg.Transport = transport })
	read := &pb.GetAgentRequest{Uuid: agentID}
	if err := call(t, c, read); err != nil {
		t.Fatal(err)
	}
	if err := call(t, c, read); !Dropped(err) {
		t.Errorf("a read on a kept connection that broke: %v", err)
	}
	if n := s.requests.Load(); n != 2 {
		t.Errorf("%d requests arrived for two reads", n)
	}
	if err := call(t, c, read); err != nil {
		t.Errorf("asked again: %v", err)
	}
}

// TestChangesAreSentAtMostOnce over connections that the server closes while idle,
// which the client notices early, late or amid writing.
func TestChangesAreSentAtMostOnce(t *testing.T) {
	t.Parallel()
	for name, req := range changes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRaw(t, func(int) (bool, bool) { return true, false })
			defer s.stop()
			transport := NewTransport()
			defer transport.CloseIdleConnections()
			c := client(t, "http://"+s.listener.Addr().String(), func(cfg *Config) { cfg.Transport = transport })
			for range 200 {
				before := s.requests.Load()
				err := call(t, c, req)
				arrived := s.requests.Load() - before
				var e *Error
				switch {
				case err == nil && arrived != 1:
					t.Fatalf("a change that succeeded arrived %d times", arrived)
				case errors.As(err, &e) && (e.Outcome != Unknown || arrived > 1):
					t.Fatalf("%v: %v, arrived %d times", e, e.Outcome, arrived)
				}
			}
		})
	}
}

// TestHTTP2IsNotSpoken since net/http repeats more requests there.
func TestHTTP2IsNotSpoken(t *testing.T) {
	t.Parallel()
	var version string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		version = r.Proto
		io.WriteString(w, `{}`)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	transport := NewTransport()
	transport.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	transport.TLSClientConfig.NextProtos = nil
	t.Cleanup(transport.CloseIdleConnections)
	c := client(t, s.URL, func(cfg *Config) { cfg.Transport = transport })
	if _, _, err := getAgent(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(version, "HTTP/1.") {
		t.Errorf("spoke %s", version)
	}
}
