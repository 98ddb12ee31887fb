package genaisim

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"time"
)

// stopTime is how long requests in flight may take to finish at the end.
const stopTime = 5 * time.Second

// BindFlags defines the flags of a command that runs a simulator. They set cfg
// when they are parsed. Their defaults are the vendor's limits, no seeds, and
// five seconds for whatever takes its time.
func BindFlags(flags *flag.FlagSet, cfg *Config) {
	flags.IntVar(&cfg.RatePerMinute, "rate-per-minute", 250, "most `requests` answered in any minute, 0 for no limit")
	flags.IntVar(&cfg.RatePerHour, "rate-per-hour", 5000, "most `requests` answered in any hour, 0 for no limit")
	flags.DurationVar(&cfg.RateMinuteWindow, "rate-minute-window", time.Minute, "how long the `minute` of --rate-per-minute is")
	flags.DurationVar(&cfg.RateHourWindow, "rate-hour-window", time.Hour, "how long the `hour` of --rate-per-hour is")
	flags.IntVar(&cfg.SeedAgents, "seed-agents", 0, "`number` of agents that exist at the start")
	flags.BoolVar(&cfg.Strict, "strict", false, "refuse requests that depart from the contract")
	for _, phase := range []struct {
		flag, what string
		time       *time.Duration
		fallback   int
	}{
		{"deploy-seconds", "until a new agent runs", &cfg.DeployTime, 5},
		{"database-seconds", "until the database of a new knowledge base is online", &cfg.DatabaseTime, 5},
		{"index-seconds", "that an indexing job runs", &cfg.IndexTime, 5},
		{"evaluate-seconds", "that an evaluation runs", &cfg.EvaluationTime, 5},
		{"import-seconds", "that the import of a custom model takes", &cfg.ImportTime, 5},
	} {
		*phase.time = time.Duration(phase.fallback) * time.Second
		usage := fmt.Sprintf("`seconds` %s, 0 for at once (default %d)", phase.what, phase.fallback)
		flags.Func(phase.flag, usage, func(text string) error {
			d, err := time.ParseDuration(text + "s")
			if err != nil || d < 0 {
				return errors.New("not a number of seconds")
			}
			*phase.time = d
			return nil
		})
	}
}

// Serve answers requests on a listener, which it closes, until ctx is done. It
// returns once requests in flight have ended, or broken off after a few
// seconds; nil if nothing else ended it than ctx.
func Serve(ctx context.Context, l net.Listener, simulator http.Handler) error {
	server := &http.Server{Handler: simulator, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer done()
		if err := server.Shutdown(grace); err != nil {
			_ = server.Close() // what is still in flight hangs on purpose
		}
	})
	err := server.Serve(l)
	if cancel() {
		return fmt.Errorf("serving the simulator: %w", err) // the listener broke
	}
	<-stopped
	return nil
}
