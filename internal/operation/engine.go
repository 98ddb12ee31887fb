package operation

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/seal"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

// Vendor makes calls to the vendor: an [*upstream.Client].
type Vendor interface {
	Do(ctx context.Context, m *methods.Method, req, resp proto.Message) (upstream.Reply, error)
}

// History is what a settled change does to our copy of the vendor: a [*mirror.Mirror].
type History interface {
	Versions
	Apply(ctx context.Context, q *db.Queries, changes ...mirror.Change) ([]mirror.Effect, error)
	Reduce(ctx context.Context, team uuid.UUID, response proto.Message) error
	Foresee(ctx context.Context, update *pb.UpdateAgentRequest, agents []uuid.UUID) (map[uuid.UUID]mirror.Outlook, error)
}

// Versions is what our copy knows of versions, and how it learns them.
type Versions interface {
	Versioned(kind string) bool
	Refresh(ctx context.Context, purpose budget.Purpose, kind string, id uuid.UUID) (version string, updatedAt time.Time, err error)
}

// Rules forbid changes that the vendor would allow, by method.
type Rules map[protoreflect.FullName]Rule

// Rule says with a [*fault.Error] why a change must not be made as things stand. It is
// asked when the change is submitted, with no operation, and again before it is sent:
// much may have happened in the queue.
type Rule func(ctx context.Context, operation uuid.UUID, req proto.Message) error

// Config is what an engine needs. Fields without a default are required.
type Config struct {
	Store   *db.Store
	Vendor  Vendor
	Budget  *budget.Budget
	History History
	Ring    *seal.Ring
	Log     *slog.Logger
	// Rules are those that a method has beyond the vendor's.
	Rules Rules
	// Aim completes a request that names what it means by something that may mean another
	// thing later, such as a label; nil: there are none. It is asked once, when the change is
	// accepted, and no more when an idempotency key attaches to it.
	Aim func(ctx context.Context, caller identity.Caller, req proto.Message) error

	// Worker names this process among the replicas, for people who look at leases.
	Worker string
	// Concurrency is how many changes this process makes at once; 0: 16.
	Concurrency int
	// Lease is how long a claimed operation is this process's without a sign of life; 0: 15 s.
	Lease time.Duration
	// Drain is how long changes under way may take once the engine stops; 0: 20 s.
	Drain time.Duration
	// MaxWait is how long a call without a deadline waits for its result; 0: 60 s.
	MaxWait time.Duration
	// Quiet is how long after it was first looked for in vain a change must still not
	// show before it is sent again: a request whose reply was lost may be on its way to
	// having its effect; 0: 5 s.
	Quiet time.Duration
	// Backoff is the first pause before a retry; it doubles up to a minute; 0: 500 ms.
	Backoff time.Duration
	// Backlog is how many changes of all teams may be queued before more are refused; 0:
	// 10,000, which takes the vendor two hours.
	Backlog int
	// Patience is how long what is queued waits at the most behind more urgent lanes before
	// some turns are its own; 0: a minute.
	Patience time.Duration
	// MaxTries is how often an operation is taken up before it fails; 0: 12, which
	// is about six minutes of retries.
	MaxTries int
	// Insist is how long after it was first sent a change is looked after at the least,
	// however often it was taken up: what dies with a worker or the database counts as a
	// try, too, and told us nothing of the change; 0: 5 minutes.
	Insist time.Duration
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, fallback time.Duration) {
		if *d == 0 {
			*d = fallback
		}
	}
	set(&c.Lease, 15*time.Second)
	set(&c.Drain, 20*time.Second)
	set(&c.MaxWait, time.Minute)
	set(&c.Quiet, 5*time.Second)
	set(&c.Backoff, 500*time.Millisecond)
	set(&c.Patience, time.Minute)
	if c.Backlog == 0 {
		c.Backlog = 10_000
	}
	set(&c.Insist, 5*time.Minute)
	if c.Concurrency == 0 {
		c.Concurrency = 16
	}
	if c.MaxTries == 0 {
		c.MaxTries = 12
	}
	return c
}

func (c Config) validate() error {
	var problems []error
	for name, missing := range map[string]bool{
		"Store": c.Store == nil, "Vendor": c.Vendor == nil, "Budget": c.Budget == nil, "History": c.History == nil,
		"Ring": c.Ring == nil, "Log": c.Log == nil, "Worker": c.Worker == "",
	} {
		if missing {
			problems = append(problems, errors.New("operation: Config."+name+" is required"))
		}
	}
	return errors.Join(problems...)
}

// Engine takes changes and makes them. Submitting and waiting work on any replica,
// whether or not its [Engine.Run] does.
type Engine struct {
	Config

	api *methods.Table
	// submissions are what waits to be written.
	submissions together[*entry]
	// settlements are what waits to be settled.
	settlements together[*settlement]
	waiters     *waiters
	watchers    *watchers
	// wake tells the dispatcher that there may be work; it holds one hint.
	wake chan struct{}
	// freed tells the dispatcher that a change has ended, for which others may have waited; it
	// holds one hint, and is heard of only while something waits for that.
	freed chan struct{}
	// self is before what this engine tells others, as it comes back to it and is no news.
	self string
	// told collects what other replicas should hear of.
	told chan string
	// soughtAbandoned is when the dispatcher last looked for abandoned operations, and noneAged
	// when nothing had waited for too long.
	soughtAbandoned, noneAged time.Time
	// atOnce are the methods of which nothing is asked between the claim and the sending.
	atOnce []string
}

// New makes an engine.
func New(cfg Config) (*Engine, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	e := &Engine{
		Config:   cfg.withDefaults(),
		api:      methods.API(),
		waiters:  newWaiters(),
		watchers: newWatchers(),
		wake:     make(chan struct{}, 1),
		freed:    make(chan struct{}, 1),
		self:     from + uuid.NewString(),
		told:     make(chan string, 1024),
	}
	e.atOnce = e.sentAtOnce()
	return e, nil
}

func (e *Engine) wakeDispatcher() {
	select {
	case e.wake <- struct{}{}:
	default: // a hint is waiting already
	}
}
