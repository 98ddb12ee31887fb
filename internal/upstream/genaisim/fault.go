package genaisim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Fault is a rule for what goes wrong with some requests. Of several rules
// that match a request the first one applies, and no other.
type Fault struct {
	// Method is the method of the requests meant; empty: any.
	Method string `json:"method,omitempty"`
	// Path is the path of the requests meant, empty for any: "*" stands for
	// any text, slashes included, "{name}" for one segment. So it may be a
	// path, a pattern or the template of an operation.
	Path string `json:"path,omitempty"`

	// Status is answered instead of carrying out the request.
	Status int `json:"status,omitempty"`
	// After lets the request take effect before Status is answered.
	After bool `json:"after,omitempty"`
	// Body is sent as it is in place of the answer's. Without a Status the
	// request takes effect and has its own status.
	Body string `json:"body,omitempty"`
	// Headers are added to the answer.
	Headers map[string]string `json:"headers,omitempty"`
	// Drop closes the connection without an answer, "before" or "after" the
	// request took effect.
	Drop string `json:"drop,omitempty"`
	// DelayMS and DelayAfterMS are milliseconds to wait before the request
	// takes effect, and between that and the answer. A wait ends when the
	// client goes away; the request takes effect all the same.
	DelayMS      int `json:"delay_ms,omitempty"`
	DelayAfterMS int `json:"delay_after_ms,omitempty"`

	// Skip lets so many matching requests pass first.
	Skip int `json:"skip,omitempty"`
	// Count is how many requests the rule applies to; 0: all.
	Count int `json:"count,omitempty"`
	// Probability is that of applying to a matching request; 0 means 1.
	Probability float64 `json:"probability,omitempty"`
}

const (
	dropBefore = "before"
	dropAfter  = "after"
)

// activeFault is a rule in force, with what has happened to it so far.
type activeFault struct {
	Fault
	Matched int `json:"matched"`
	Applied int `json:"applied"`

	path *regexp.Regexp // nil: any path
}

// compileFaults checks rules and makes them ready to match. All that is wrong
// is in the error.
func compileFaults(rules []Fault) ([]*activeFault, error) {
	active := make([]*activeFault, 0, len(rules))
	var problems []error
	for i, rule := range rules {
		if err := rule.validate(); err != nil {
			problems = append(problems, fmt.Errorf("fault %d: %w", i, err))
			continue
		}
		active = append(active, &activeFault{Fault: rule, path: pathPattern(rule.Path)})
	}
	return active, errors.Join(problems...)
}

func (f Fault) validate() error {
	var problems []error
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		problems = append(problems, fmt.Errorf("status %d is not between 200 and 599", f.Status))
	}
	if f.Drop != "" && f.Drop != dropBefore && f.Drop != dropAfter {
		problems = append(problems, fmt.Errorf("drop is %q, not \"before\" or \"after\"", f.Drop))
	}
	if f.Probability < 0 || f.Probability > 1 {
		problems = append(problems, fmt.Errorf("probability %v is not between 0 and 1", f.Probability))
	}
	if f.DelayMS < 0 || f.DelayAfterMS < 0 || f.Count < 0 || f.Skip < 0 {
		problems = append(problems, errors.New("a delay or count is negative"))
	}
	if f.Status == 0 && f.Drop == "" && f.Body == "" && len(f.Headers) == 0 && f.DelayMS == 0 && f.DelayAfterMS == 0 {
		problems = append(problems, errors.New("it does nothing: give a status, drop, body, headers or a delay"))
	}
	return errors.Join(problems...)
}

func pathPattern(pattern string) *regexp.Regexp {
	if pattern == "" {
		return nil
	}
	expr := regexp.QuoteMeta(pattern)
	expr = regexp.MustCompile(`\\\{[^/{}]*\\\}`).ReplaceAllString(expr, `[^/]+`)
	expr = strings.ReplaceAll(expr, `\*`, `.*`)
	return regexp.MustCompile("^" + expr + "$")
}

// pickFault returns the fault that applies to a request, counting it, or nil.
func pickFault(rules []*activeFault, random *rand.Rand, method, path string) *activeFault {
	for _, rule := range rules {
		if rule.Method != "" && !strings.EqualFold(rule.Method, method) {
			continue
		}
		if rule.path != nil && !rule.path.MatchString(path) {
			continue
		}
		rule.Matched++
		if rule.Matched <= rule.Skip || rule.Count > 0 && rule.Applied >= rule.Count {
			continue
		}
		if rule.Probability > 0 && rule.Probability < 1 && random.Float64() >= rule.Probability {
			continue
		}
		rule.Applied++
		return rule
	}
	return nil
}

// before is how long to wait before the effect. A nil fault does nothing, here
// and in the other methods.
func (f *activeFault) before() time.Duration {
	if f == nil {
		return 0
	}
	return time.Duration(f.DelayMS) * time.Millisecond
}

func (f *activeFault) afterwards() time.Duration {
	if f == nil {
		return 0
	}
	return time.Duration(f.DelayAfterMS) * time.Millisecond
}

// prevents says whether the request must not take effect.
func (f *activeFault) prevents() bool {
	return f != nil && (f.Drop == dropBefore || f.Drop == "" && f.Status != 0 && !f.After)
}

func (f *activeFault) drops() bool {
	return f != nil && f.Drop != ""
}

// status is the status answered in place of one's own.
func (f *activeFault) status(own int) int {
	switch {
	case f == nil:
		return own
	case f.drops():
		return 0
	case f.Status != 0:
		return f.Status
	}
	return own
}

// String is the fault in words, for the request log.
func (f *activeFault) String() string {
	if f == nil {
		return ""
	}
	var parts []string
	add := func(condition bool, format string, args ...any) {
		if condition {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(f.DelayMS > 0, "delay %d ms", f.DelayMS)
	add(f.Drop != "", "drop %s", f.Drop)
	add(f.Status != 0, "status %d %s", f.Status, http.StatusText(f.Status))
	add(f.Status != 0 && f.After, "after the effect")
	add(f.Body != "", "body replaced")
	add(len(f.Headers) > 0, "headers added")
	add(f.DelayAfterMS > 0, "delay %d ms after the effect", f.DelayAfterMS)
	return strings.Join(parts, ", ")
}
