package mirror

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// endless is a vendor whose lists always have another page.
type endless struct {
	pages int
	// id is that of the first item of a page.
	id func(page int32) string
}

func (e *endless) Do(_ context.Context, _ *methods.Method, req, resp proto.Message) (upstream.Reply, error) {
	e.pages++
	if list, ok := resp.(*pb.ListAgentsResponse); ok {
		asked, _ := req.(*pb.ListAgentsRequest)
		list.Agents = []*pb.AgentListItem{{Uuid: new(e.id(asked.GetPage()))}}
		list.Links = &pb.Links{Pages: &pb.LinkPages{Next: new("https://example.com/?page=next")}}
		list.Meta = &pb.Meta{Pages: new(int32(math.MaxInt32))}
	}
	return upstream.Reply{Status: 200, Limit: -1, Remaining: -1}, nil
}

func TestListsWithoutEndAreBrokenOff(t *testing.T) {
	t.Parallel()
	same, other := uuid.NewString(), uuid.NewString()
	for name, tc := range map[string]struct {
		id   func(page int32) string
		want int
	}{
		"the same page again and again": {func(int32) string { return same }, 2},
		"pages in a circle":             {func(page int32) string { return []string{same, other}[page%2] }, 3},
		"always something new":          {func(int32) string { return uuid.NewString() }, vendorPages},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vendor := &endless{id: tc.id}
			w := newWorld(t, genaisim.Config{}, func(c *Config) { c.Client = vendor })
			granted := func(context.Context, *methods.Method) (budget.Call, error) { return budget.Call{}, nil }
			taken := 0
			_, err := w.pages(t.Context(), granted, w.api.ByName("AgentService.ListAgents"), &pb.ListAgentsRequest{}, "agents",
				func(_ time.Time, items []proto.Message, _ proto.Message) error {
					taken += len(items)
					return nil
				})
			if err != nil || vendor.pages != tc.want || taken != tc.want {
				t.Errorf("%d pages with %d items, %v; want %d", vendor.pages, taken, err, tc.want)
			}
		})
	}
}

// TestWhatIsRunningIsWaitedForFromTheStart has a caller who is gone before the question
// that they began gets its turn.
func TestWhatIsRunningIsWaitedForFromTheStart(t *testing.T) {
	t.Parallel()
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range 100 {
		m := &Mirror{cfg: Config{Patience: time.Minute}}
		ended := false
		if _, err := shared(gone, m, "x", func(context.Context) (bool, error) {
			ended = true
			return true, nil
		}); err != nil {
			m.running.Wait()
			if !ended {
				t.Fatal("it was not waited for")
			}
		}
	}
}
