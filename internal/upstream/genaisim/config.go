package genaisim

import (
	"log/slog"
	"time"
)

// Config sets up a simulator. Its zero value is a simulator without agents,
// limits or a token of its own, which deploys at once.
type Config struct {
	// Token is the bearer token clients must send. Empty: any token will do,
	// but one must be sent.
	Token string

	// RatePerMinute and RatePerHour are the most requests answered within any
	// minute and any hour. Zero: no such limit.
	RatePerMinute, RatePerHour int
	// RateMinuteWindow and RateHourWindow scale the two windows down for
	// tests. Zero: a minute and an hour.
	RateMinuteWindow, RateHourWindow time.Duration
	// Count429 makes refused requests count against the windows as well.
	// Whether the vendor does so is unknown.
	Count429 bool
	// BurstZeroRemaining makes a refusal by the minute's limit say
	// "ratelimit-remaining: 0". Otherwise it tells what is left of the hour.
	BurstZeroRemaining bool

	// SeedAgents is the number of agents that exist at the start.
	SeedAgents int
	// Empty leaves out the knowledge bases and keys that there are at the start otherwise.
	Empty bool
	// Seed decides what the seeded agents are like, their ids included, and
	// which requests a fault with a probability hits.
	Seed uint64

	// Strict refuses, with 422, requests that depart from the contract.
	// Otherwise such departures are noted in the request log only.
	Strict bool

	// DeployTime is how long a new agent takes from waiting to running.
	// Zero: it runs at once.
	DeployTime time.Duration
	// DatabaseTime is how long the database of a new knowledge base takes to be
	// online, IndexTime how long an indexing job runs, EvaluationTime an
	// evaluation of an agent or a model, and ImportTime the import of a custom
	// model. Zero: it is done at once.
	DatabaseTime, IndexTime, EvaluationTime, ImportTime time.Duration

	// Now is the clock of timestamps, deployments and limits, nil for the
	// system's. Delays of faults always use the system's.
	Now func() time.Time
	// Log receives one debug record for each request. Nil: none.
	Log *slog.Logger
}

// withDefaults fills in what the zero values stand for.
func (c Config) withDefaults() Config {
	if c.RateMinuteWindow <= 0 {
		c.RateMinuteWindow = time.Minute
	}
	if c.RateHourWindow <= 0 {
		c.RateHourWindow = time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now //nolint:forbidigo // the one place that takes the system's clock: the simulator has no database to ask
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
