package vendorclients_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"golang.org/x/oauth2"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// token is the only one that the simulated account takes.
const token = "dop_v1_simulated"

// account is a simulated account with the vendor's client pointed at it.
type account struct {
	godo.AgentPlatformService

	client *godo.Client
	sim    *genaisim.Server
	clock  *clock
	url    string
}

// clock is the simulator's: what takes its time is done when the test says so.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// open starts a simulator, and fails the test in the end if the client has asked for
// anything that is not in the contract.
func open(t *testing.T, cfg genaisim.Config) *account {
	t.Helper()
	a := &account{clock: &clock{now: time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)}}
	cfg.Strict, cfg.Now, cfg.Token = true, a.clock.read, token
	a.sim = genaisim.New(cfg)
	server := httptest.NewServer(a.sim)
	t.Cleanup(server.Close)
	a.url = server.URL
	a.client = newClient(t, server.URL, token)
	a.AgentPlatformService = a.client.AgentPlatform
	t.Cleanup(func() {
		for _, r := range a.sim.Requests() {
			known := r.Operation != "" || r.Status == http.StatusUnauthorized // who may not ask is not asked what for
			if len(r.Deviations) > 0 || !known || !strings.HasPrefix(r.UserAgent, "godo/") {
				t.Errorf("%s %s by %s departs from the contract: %q", r.Method, r.Path, r.UserAgent, r.Deviations)
			}
		}
	})
	return a
}

// newClient is the vendor's client for another address than the vendor's. Unlike that of
// godo.NewFromToken it sends nothing again, unless the options say so.
func newClient(t *testing.T, address, token string, options ...godo.ClientOpt) *godo.Client {
	t.Helper()
	authorized := oauth2.NewClient(t.Context(), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}))
	client, err := godo.New(authorized, append(options, godo.SetBaseURL(address))...)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// must is the value of a call that has to succeed: must(a.GetAgent(ctx, id))(t).
func must[T any](value T, _ *godo.Response, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// refused checks that a call was answered a status, and that the client has read the
// error's message and the request's id.
func refused[T any](_ T, resp *godo.Response, err error) func(t *testing.T, status int, message string) {
	return func(t *testing.T, status int, message string) {
		t.Helper()
		answer, ok := err.(*godo.ErrorResponse) //nolint:errorlint // the client gives this very type
		if !ok || resp == nil {
			t.Fatalf("the client got %v, not an answer with %d", err, status)
		}
		if resp.StatusCode != status || !strings.Contains(answer.Message, message) || answer.RequestID == "" {
			t.Errorf("the client got %d %q, request %q; want %d %q", resp.StatusCode, answer.Message, answer.RequestID, status, message)
		}
	}
}

// everything goes through all pages of a list, as the client's documentation has it, save
// that it counts the pages itself.
func everything[T any](t *testing.T, perPage int, list func(*godo.ListOptions) ([]T, *godo.Response, error)) (items []T, pages int) {
	t.Helper()
	options := &godo.ListOptions{Page: 1, PerPage: perPage}
	for {
		page, resp, err := list(options)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, page...)
		if resp.Links == nil || resp.Links.IsLastPage() {
			return items, options.Page
		}
		if options.Page > 1000 {
			t.Fatal("the list has no end")
		}
		options.Page++
	}
}

// agent makes one.
func (a *account) agent(t *testing.T, name string) *godo.Agent {
	t.Helper()
	return must(a.CreateAgent(t.Context(), &godo.AgentCreateRequest{
		Name: name, Instruction: "Help.", ModelUuid: genaisim.ModelLlama, ProjectId: genaisim.DefaultProject, Region: genaisim.DefaultRegion,
	}))(t)
}

// wantEffects checks what the requests since a sequence number have changed, in order.
func (a *account) wantEffects(t *testing.T, since int, want ...string) {
	t.Helper()
	var got []string
	for _, r := range a.sim.Requests()[since:] {
		if r.Effect != genaisim.NoEffect {
			got = append(got, r.Effect)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the simulator changed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// check reports a value that differs.
func check[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// pageOf is the number of the page that a link leads to.
func pageOf(t *testing.T, link string) string {
	t.Helper()
	target, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return target.Query().Get("page")
}
