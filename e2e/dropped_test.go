package e2e_test

import (
	"testing"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestDroppedReply has the vendor fail once for each sort of change, in each way that
// leaves its caller in doubt. Whoever waits gets a success all the same, and the
// change is made once.
func TestDroppedReply(t *testing.T) {
	w := newWorld(t)
	caller := w.serve(t).as(t, w.payments)
	// In this order, one after the other: faults of creations cannot be told apart by
	// their path, and a throttled account rests as a whole.
	for _, broken := range []struct {
		name  string
		fault genaisim.Fault
		// lost: the effect took place, and the answer with a new key's secret was lost.
		lost bool
	}{
		{"the reply is lost", genaisim.Fault{Drop: "after"}, true},
		{"the request is lost", genaisim.Fault{Drop: "before"}, false},
		{"500 with the effect", genaisim.Fault{Status: 500, After: true}, true},
		{"500 without the effect", genaisim.Fault{Status: 500}, false},
		{"503 without the effect", genaisim.Fault{Status: 503}, false},
		{"429 with retry-after", genaisim.Fault{Status: 429, Headers: map[string]string{"retry-after": "1"}}, false},
		{"garbage after the effect", genaisim.Fault{Body: "<html>we will be right back</html>"}, true},
		{"half an answer after the effect", genaisim.Fault{Body: `{"agent": {"uuid": "`}, true},
	} {
		t.Run(broken.name, func(t *testing.T) {
			w.vendor.fail(t)
			changes := w.changes(t, caller)
			faults := make([]genaisim.Fault, 0, len(changes))
			for _, it := range changes {
				f := broken.fault
				f.Method, f.Path, f.Count = it.verb, it.path, 1
				faults = append(faults, f)
			}
			w.vendor.fail(t, faults...)
			begun := time.Now()

			eachAtOnce(t, named(changes), func(t *testing.T, name string) { //nolint:thelper // a subtest, which eachAtOnce runs
				it := changes[name]
				got, err := it.do(t.Context(), caller, &pb.MutationOptions{Reason: broken.name})
				if err != nil {
					t.Fatalf("the caller was told %v", err)
				}
				again := 0
				if name == "create api key" {
					if broken.lost {
						again = 1
					}
					if got.secret == "" || got.secret != w.vendor.secret(got.key) {
						t.Errorf("the caller has the secret %q, want the one that holds at the vendor", got.secret)
					}
				}
				w.once(t, caller, it, got.operation.GetId(), again)
				if n := w.vendor.count(it.mine); n > 3 {
					t.Errorf("%d requests were made for it", n)
				}
			})
			for _, it := range changes {
				if w.vendor.count(func(r genaisim.Request) bool { return it.mine(r) && r.Fault != "" }) != 1 {
					t.Errorf("the fault did not hit %s %s once", it.verb, it.path)
				}
			}
			t.Logf("%d changes, all made once, in %s", len(changes), time.Since(begun).Round(10*time.Millisecond))
		})
	}
}
