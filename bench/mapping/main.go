// Command mapping measures what it costs to turn the vendor's JSON into Protobuf, beside
// connectrpc.com/vanguard doing the same in the same run.
//
// The work is one call of GetAgent whose answer is [agent.json]: an agent with two children,
// functions, guardrails, knowledge bases, model, template and deployment. Both sides go by
// the method's google.api.http rule, from the request to the vendor's route to the answer in
// Protobuf, and neither touches a socket: the vendor is a function that hands out the bytes.
//
//   - agentsvc is the client that the service uses, with all that it does besides: time
//     limits, the vendor's headers, drift. It begins with a message and ends with one, so
//     writing that one as Protobuf is added.
//   - vanguard is a transcoder in front of a REST handler, called in the protocol that costs
//     it least, Connect with binary Protobuf and no compression. It begins and ends with
//     bytes, so for the second comparison reading them into a message is added.
//   - protojson is one protojson.Unmarshal of the answer and nothing else, with unknown
//     fields passed over: what vanguard is built on.
//
// All three must yield the same message, or nothing is measured. It is a module of its own,
// so that the service does not depend on what it is compared with.
//
//	cd bench/mapping && go run . --rounds 5 --time 1s
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"testing" //nolint:depguard // it measures as `go test -bench` does
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// aim is the most that the mapping may cost of what it costs vanguard.
const aim = 0.70

// answer is what the vendor answers, laid out for reading; it is sent without spaces.
//
//go:embed agent.json
var answer []byte

type options struct {
	rounds int
	time   time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	testing.Init()
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "how often each is measured, in turns; the median counts")
	flag.DurationVar(&o.time, "time", time.Second, "about how long each measurement takes")
	flag.Parse()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // stop only frees the signal handler
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	if o.rounds < 1 {
		return fmt.Errorf("--rounds is %d, and must be 1 at the least", o.rounds)
	}
	if err := flag.Set("test.benchtime", o.time.String()); err != nil {
		return fmt.Errorf("setting the time of a measurement: %w", err)
	}
	var body bytes.Buffer
	if err := json.Compact(&body, answer); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	all, err := contenders(ctx, body.Bytes())
	if err != nil {
		return err
	}
	if err := agree(all); err != nil {
		return err
	}
	results, err := measure(ctx, all, o.rounds)
	if err != nil {
		return err
	}
	return report(out, body.Len(), o.rounds, results)
}

// agree refuses to compare what does not do the same.
func agree(all []contender) error {
	var want *pb.GetAgentResponse
	for _, c := range all {
		got := &pb.GetAgentResponse{}
		if err := c.check(got); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if want == nil {
			want = got
		}
		if !proto.Equal(want, got) || len(got.GetAgent().GetChildAgents()) != 2 {
			return fmt.Errorf("%s and %s do not read the same answer", all[0].name, c.name)
		}
	}
	return nil
}

// result is the median of the rounds, by time.
type result struct {
	nanoseconds, bytes, allocations int64
}

// measure goes round by round, so that a machine that is slow for a while is so for all.
func measure(ctx context.Context, all []contender, rounds int) (map[string]result, error) {
	measured := map[string][]result{}
	for range rounds {
		for _, c := range all {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			var failure error
			runtime.GC()                                // what the one before left behind is not for this one to clear
			r := testing.Benchmark(func(b *testing.B) { //nolint:thelper // helps nobody, is measured
				b.ReportAllocs()
				for b.Loop() {
					if failure = c.once(); failure != nil {
						b.FailNow()
					}
				}
			})
			if failure != nil {
				return nil, fmt.Errorf("%s: %w", c.name, failure)
			}
			measured[c.name] = append(measured[c.name], result{r.NsPerOp(), r.AllocedBytesPerOp(), r.AllocsPerOp()})
		}
	}
	medians := make(map[string]result, len(measured))
	for name, rs := range measured {
		slices.SortFunc(rs, func(a, b result) int { return int(a.nanoseconds - b.nanoseconds) })
		medians[name] = rs[len(rs)/2]
	}
	return medians, nil
}

func report(out io.Writer, size, rounds int, results map[string]result) error {
	var text strings.Builder
	fmt.Fprintf(&text, "mapping one GetAgent answer of %d bytes of JSON, in memory (median of %d rounds)\n", size, rounds)
	for _, name := range []string{oursToBytes, vanguardToBytes, oursToMessage, vanguardToMessage, floor} {
		r := results[name]
		fmt.Fprintf(&text, "%-44s %9d ns/op %9d B/op %7d allocs/op\n", name, r.nanoseconds, r.bytes, r.allocations)
	}
	for _, pair := range []struct{ what, ours, theirs, remark string }{
		{"agentsvc ÷ vanguard, to Protobuf bytes", oursToBytes, vanguardToBytes, fmt.Sprintf("   (aim: %.2f of its time)", aim)},
		{"agentsvc ÷ vanguard, to a message", oursToMessage, vanguardToMessage, ""},
		{"agentsvc ÷ protojson alone, to a message", oursToMessage, floor, ""},
	} {
		ours, theirs := results[pair.ours], results[pair.theirs]
		fmt.Fprintf(&text, "%-44s %9.2f time %11.2f bytes %8.2f allocations%s\n", pair.what, ratio(ours.nanoseconds, theirs.nanoseconds),
			ratio(ours.bytes, theirs.bytes), ratio(ours.allocations, theirs.allocations), pair.remark)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func ratio(ours, theirs int64) float64 { return float64(ours) / float64(theirs) }
