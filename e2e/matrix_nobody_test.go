package e2e_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/agentsvc/agentsvc/internal/access/accesstest"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// complete holds what was called against what is linked, and that against what the server
// says that it serves.
func (x *matrix) complete(t *testing.T) {
	services := map[protoreflect.FullName]bool{}
	for _, d := range linked() {
		services[d.Parent().FullName()] = true
		want := len(accesstest.Callers())
		if len(methods.API().ByName(string(d.FullName())).Access.GetTargets()) > 0 {
			want *= len(accesstest.Things())
		}
		if got := x.called[string(d.FullName())]; got != want {
			t.Errorf("%s was called %d times, want %d", d.FullName(), got, want)
		}
	}
	// Health and reflection are for everybody, and tell nothing that the API's description does not.
	nobody := x.service.caller(t, "")
	if status, body := nobody.send(t, "/grpc.health.v1.Health/Check", "application/json", []byte("{}")); status != http.StatusOK {
		t.Errorf("the health check answers %d: %s", status, body)
	}
	stream := grpcreflect.NewClient(&http.Client{Transport: newTransport(t, true)}, x.service.url).NewStream(t.Context())
	served, err := stream.ListServices()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Close(); err != nil {
		t.Error(err)
	}
	services["grpc.health.v1.Health"] = true
	if got, want := slices.Sorted(slices.Values(served)), slices.Sorted(maps.Keys(services)); !slices.Equal(got, want) {
		t.Errorf("served are\n%v\nwant\n%v", got, want)
	}
}

// strange is a request that cannot be read, of what it says that it is.
type strange struct{ verb, contentType, encoding, body string }

func strangeRequests() []strange {
	const post = http.MethodPost
	return []strange{
		{post, "application/json", "", "{"},
		{post, "application/json", "", `{"no such field": 1}`},
		{post, "application/json", "", strings.Repeat(`{"a":`, 20_000)},
		{post, "application/json", "br", "{}"},
		{post, "application/json", "gzip", "not compressed"},
		{post, "application/proto", "", "\xff\xff\xff"},
		{post, "application/connect+proto", "", "\x00\xff\xff\xff\xff\x01"},
		{post, "application/connect+json", "", "\x00\x00\x00\x00\x01{"},
		{post, "application/grpc", "", "\x01\x00\x00\x00\x04\xff\xff\xff\xff"},
		{post, "application/grpc", "", "short"},
		{post, "application/grpc+json", "", "\x00\x00\x00\x00\x01{"},
		{post, "application/grpc-web+proto", "", "\x80\x00\x00\x00\x02\xff\xff"},
		{post, "text/plain", "", "hello"},
		{post, "", "", "\x00"},
		{http.MethodGet, "", "", ""}, // its message is in the query
		{http.MethodPatch, "application/json", "", "{}"},
	}
}

// strangeCredentials are headers that are none of ours.
func strangeCredentials() []string {
	return []string{
		"Bearer", "Bearer not-a-token", "Bearer ast_0123456789ab_0123456789abcdef", "Basic cm9vdDpyb290", "bearer\tx", "Bearer eyJhbGciOiJub25lIn0.e30.",
	}
}

// strangers sends every method what cannot be read, without credentials and with such as are
// not accepted. The answer must be UNAUTHENTICATED, word for word as it is to a request without
// a body: nobody has looked at what was sent.
func (x *matrix) strangers(t *testing.T) {
	h := &http.Client{Transport: newTransport(t, false)}
	wrong := strangeCredentials()
	plain := map[string]string{} // by all but the body
	var problems []string
	for i, d := range linked() {
		procedure := methods.API().ByName(string(d.FullName())).Procedure
		for j, r := range strangeRequests() {
			for _, header := range []string{"", wrong[(i+j)%len(wrong)]} {
				bare := strange{verb: r.verb, contentType: r.contentType}
				key := fmt.Sprint(bare, header)
				if plain[key] == "" {
					plain[key] = x.answer(t, h, procedure, bare, header)
				}
				query := ""
				if r.verb == http.MethodGet {
					query = "?connect=v1&encoding=json&message=%7B"
				}
				x.bodies++
				said := x.answer(t, h, procedure+query, r, header)
				refused := strings.Contains(said, `"code":"unauthenticated"`) || strings.Contains(said, "Grpc-Status: 16\n")
				if said != plain[key] || !refused {
					problems = append(problems, fmt.Sprintf("%s answers %q with the header %q\n%s\nand without a body\n%s", procedure, r, header, said, plain[key]))
				}
			}
		}
	}
	report(t, problems)
}

// answer is all that is answered to a request, but for when.
func (x *matrix) answer(t *testing.T, h *http.Client, path string, what strange, authorization string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), what.verb, x.service.url+path, strings.NewReader(what.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Request-Id", "a-stranger")
	for name, value := range map[string]string{
		"Authorization": authorization, "Content-Type": what.contentType, "Content-Encoding": what.encoding, "Grpc-Encoding": what.encoding,
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	resp, err := h.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Header.Del("Date")
	var all strings.Builder
	fmt.Fprintln(&all, resp.StatusCode)
	for _, header := range []http.Header{resp.Header, resp.Trailer} {
		for _, name := range slices.Sorted(maps.Keys(header)) {
			fmt.Fprintf(&all, "%s: %s\n", name, strings.Join(header[name], ", "))
		}
	}
	return all.String() + string(text)
}
