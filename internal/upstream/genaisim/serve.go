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
// five seconds for a deployment.
func BindFlags(flags *flag.FlagSet, cfg *Config) {
	flags.IntVar(&cfg.RatePerMinute, "rate-per-minute", 250, "most `requests` answered in any minute, 0 for no limit")
	flags.IntVar(&cfg.RatePerHour, "rate-per-hour", 5000, "most `requests` answered in any hour, 0 for no limit")
	flags.IntVar(&cfg.SeedAgents, "seed-agents", 0, "`number` of agents that exist at the start")
	flags.BoolVar(&cfg.Strict, "strict", false, "refuse requests that depart from the contract")
	cfg.DeployTime = 5 * time.Second
	flags.Func("deploy-seconds", "`seconds` until a new agent runs, 0 for at once (default 5)", func(text string) error {
		d, err := time.ParseDuration(text + "s")
		if err != nil || d < 0 {
			return errors.New("not a number of seconds")
		}
		cfg.DeployTime = d
		return nil
	})
}

// Serve answers requests on a listener, which it closes, until ctx is done. It
// returns once requests in flight have ended, or broken off after a few
// seconds; nil if nothing else ended it than ctx.
func Serve(ctx context.Context, l net.Listener, s *Server) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
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
