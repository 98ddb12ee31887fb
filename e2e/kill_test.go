package e2e_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestKillMinusNine kills the service where it hurts, starts it again, and looks
// whether every change was made, and made once.
func TestKillMinusNine(t *testing.T) {
	t.Run("between the vendor's effect and our commit", killedAfterTheEffect)
	t.Run("before it was sent", killedBeforeSending)
}

func killedAfterTheEffect(t *testing.T) {
	w := newWorld(t)
	first := w.serve(t)
	caller := first.as(t, w.payments)
	changes := w.changes(t, caller)
	var faults []genaisim.Fault
	for _, it := range changes {
		faults = append(faults, genaisim.Fault{Method: it.verb, Path: it.path, DelayAfterMS: 600_000, Count: 1})
	}
	w.vendor.fail(t, faults...)
	operations := submitAll(t, caller, changes)
	await(t, "the vendor has made all changes", func() bool {
		return !slices.ContainsFunc(mapValues(changes), func(it change) bool { return len(w.vendor.effects(it.mine)) == 0 })
	})
	if n := w.count(t, "SELECT count(*) FROM operations WHERE state = 'RUNNING' AND sent_at IS NOT NULL"); n != len(changes) {
		t.Fatalf("%d changes are under way, want %d: the kill would prove nothing", n, len(changes))
	}

	first.kill(t)

	caller = w.serve(t).as(t, w.payments)
	eachAtOnce(t, named(changes), func(t *testing.T, name string) { //nolint:thelper // a subtest, which eachAtOnce runs
		it := changes[name]
		ended(t, caller, operations[name])
		again := 0
		if name == "create api key" {
			again = 1 // the first secret died with the process
			got, err := it.do(t.Context(), caller, &pb.MutationOptions{IdempotencyKey: name})
			if err != nil || got.secret == "" || got.secret != w.vendor.secret(got.key) {
				t.Errorf("who asks again gets the secret %q (%v), want the one that holds at the vendor", got.secret, err)
			}
		}
		w.once(t, caller, it, operations[name], again)
	})
}

func killedBeforeSending(t *testing.T) {
	w := newWorld(t)
	preparing := w.serve(t)
	changes := w.changes(t, preparing.as(t, w.payments))
	preparing.kill(t)
	before := w.vendor.count(changing)

	idle := w.serve(t, "AGENTSVC_WORKERS=0")
	operations := submitAll(t, idle.as(t, w.payments), changes)
	idle.kill(t)
	if n := w.vendor.count(changing) - before; n != 0 {
		t.Fatalf("%d changes were sent by a service without workers", n)
	}

	caller := w.serve(t).as(t, w.payments)
	eachAtOnce(t, named(changes), func(t *testing.T, name string) { //nolint:thelper // a subtest, which eachAtOnce runs
		ended(t, caller, operations[name])
		w.once(t, caller, changes[name], operations[name], 0)
	})
}

// submitAll makes all changes without waiting for them, each with its name as the
// idempotency key, and returns their operations by name.
func submitAll(t *testing.T, c *client, changes map[string]change) map[string]string {
	t.Helper()
	operations := make(map[string]string, len(changes))
	for name, it := range changes {
		got, err := it.do(t.Context(), c, &pb.MutationOptions{Async: true, IdempotencyKey: name})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		operations[name] = got.operation.GetId()
	}
	return operations
}

// ended waits for the end of an operation, which must be a success.
func ended(t *testing.T, c *client, operation string) *pb.Operation {
	t.Helper()
	resp, err := c.operations.WaitOperation(t.Context(), &pb.WaitOperationRequest{Id: operation, Timeout: durationpb.New(patience)})
	if err != nil {
		t.Fatalf("waiting for operation %s: %v", operation, err)
	}
	if op := resp.GetOperation(); op.GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Errorf("%s ended as %s (%v)", op.GetMethod(), op.GetState(), op.GetError())
	}
	return resp.GetOperation()
}

func mapValues[V any](m map[string]V) []V {
	values := make([]V, 0, len(m))
	for _, v := range m {
		values = append(values, v)
	}
	return values
}

// named maps every name to itself, for tests that want more than the value.
func named[V any](m map[string]V) map[string]string {
	names := make(map[string]string, len(m))
	for name := range m {
		names[name] = name
	}
	return names
}
