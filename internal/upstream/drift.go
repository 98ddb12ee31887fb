package upstream

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// extraField is the field of ours in which a message keeps what came with it and
	// has no field.
	extraField = "vendor_extra"
	// maxExtra is how many bytes one message keeps.
	maxExtra = 64 << 10
	// maxKept is how many values one message keeps until all have been seen: more than
	// there can be room for, as each takes more than eight bytes.
	maxKept = maxExtra / 8
	// leftOutKey tells how many values were too much to keep.
	leftOutKey = "[left out]"
	// maxDrift is how many places are told apart in metrics and logs: the vendor
	// may send names without end.
	maxDrift = 1000

	redactedText = "[redacted]"
)

// driftKind is how an answer departs from what the API's description says.
type driftKind string

const (
	driftField    driftKind = "unknown_field"
	driftValue    driftKind = "unknown_value" // of an enum
	driftType     driftKind = "wrong_type"    // a field that we know, in a form that it cannot have
	driftTwice    driftKind = "duplicate"     // a name that comes twice in one object; the last counts
	driftReserved driftKind = "reserved"      // a field of ours, which the vendor cannot set
)

// drift is one way to depart, at one place. It never holds a value, which may be a
// secret; nor may a name, for which see [shape.shownName].
type drift struct {
	kind driftKind
	path string // without list indexes
}

type driftCount struct {
	times   int
	problem string // of the first time; empty where the kind says it all
}

// note counts drift at the value at hand.
func (d *decoder) note(kind driftKind, problem string) {
	if d.found.drift == nil {
		d.found.drift = map[drift]*driftCount{}
	}
	key := drift{kind: kind, path: d.at.pattern()}
	count := d.found.drift[key]
	if count == nil {
		count = &driftCount{problem: problem}
		d.found.drift[key] = count
	}
	count.times++
}

// wrong goes past a value whose form the field cannot have.
func (d *decoder) wrong(f *field, want string, keep *extras) error {
	got := kindOf(d.next())
	raw, err := d.skip()
	if err != nil {
		return err
	}
	d.misfit(f, raw, "is "+got+" where "+want+" belongs", keep)
	return nil
}

// misfit leaves out a value that the field cannot hold, and keeps it with what is not
// known. In the place of a message that holds secrets anything may be one, such as a key
// by itself where it used to come with its name.
func (d *decoder) misfit(f *field, raw []byte, problem string, keep *extras) {
	d.found.misread = true
	d.note(driftType, problem)
	d.keep(keep, raw, f.form == formMessage && (f.shape.guarded || looksSecret(d.at[len(d.at)-1].name)))
}

// keep keeps the value at hand as it came; secret says that only its place is kept.
// Nothing is kept of what is in a secret field.
func (d *decoder) keep(keep *extras, raw []byte, secret bool) {
	switch {
	case keep == nil || d.hidden > 0:
		return
	case len(keep.kept) >= maxKept:
		keep.leftOut++
		return
	}
	keep.kept = append(keep.kept, extra{path: d.at[keep.from:].path(), raw: raw, secret: secret})
}

// extras is what one message keeps of what came with it and has no field.
type extras struct {
	from    int // how many steps lead to the message; keys are paths below it
	kept    []extra
	leftOut int
}

type extra struct {
	path   string
	raw    []byte
	secret bool
	gone   bool
}

func (e *extras) len() int {
	if e == nil {
		return 0
	}
	return len(e.kept)
}

// erase takes back what was kept from one length to another. It moves nothing: spans
// count on it.
func (e *extras) erase(from, to int) {
	for i := from; i < to; i++ {
		e.kept[i].gone = true
	}
}

// writeExtras writes what was kept, as far as there is room. It goes by the order of the
// paths, so that the same things are kept whatever order they came in.
func (d *decoder) writeExtras(tag uint64, keep *extras) error {
	keep.kept = slices.DeleteFunc(keep.kept, func(e extra) bool { return e.gone })
	if len(keep.kept) == 0 {
		return nil
	}
	slices.SortStableFunc(keep.kept, func(a, b extra) int { return strings.Compare(a.path, b.path) })
	mark := d.begin(tag)
	for _, e := range keep.kept {
		before := len(d.out)
		if len(e.raw) <= maxExtra {
			if err := d.writeExtra(e); err != nil {
				return err
			}
		}
		if len(d.out) == before || len(d.out)-mark > maxExtra {
			d.out = slices.Delete(d.out, before, len(d.out))
			keep.leftOut++
		}
	}
	if keep.leftOut > 0 {
		entry, value := d.beginEntry(leftOutKey)
		d.freeNumber(strconv.Itoa(keep.leftOut))
		d.end(value)
		d.end(entry)
	}
	d.end(mark)
	return nil
}

func (d *decoder) writeExtra(e extra) error {
	entry, value := d.beginEntry(e.path)
	if e.secret {
		d.freeString(redactedText)
	} else {
		here := d.scanner
		d.scanner = scanner{src: e.raw}
		if err := d.freeValue(true); err != nil {
			return err
		}
		d.scanner = here
	}
	d.end(value)
	d.end(entry)
	return nil
}

// shownName is the name of an unknown field, as far as it may be shown: beside a secret a
// name that is no words may be one itself, such as a key that maps to what it is for.
func (s *shape) shownName(name string) string {
	const longest = 40
	notWord := func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }
	if s.holds && (len(name) > longest || strings.ContainsFunc(name, notWord)) {
		return redactedText
	}
	return name
}

// looksSecret goes by the name alone and rather hides too much: nobody has yet
// looked at a field that this version does not know.
func looksSecret(name string) bool {
	name = strings.ToLower(name)
	if strings.HasSuffix(name, "_key_uuid") || strings.HasSuffix(name, "_key_uuids") {
		return false
	}
	for _, part := range []string{
		"key", "token", "secret", "password", "authorization", "credential",
		"signed_url", "download_url", // usable by whoever holds them
	} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// driftLog counts drift for as long as the process lives, and says each thing
// once.
type driftLog struct {
	log     *slog.Logger
	counter metric.Int64Counter

	mu      sync.Mutex // guards seen
	account attribute.KeyValue
	seen    map[driftKey]bool
}

type driftKey struct {
	drift

	method protoreflect.FullName
}

func (l *driftLog) report(ctx context.Context, method protoreflect.FullName, found map[drift]*driftCount, secrets []string) {
	for what, count := range found {
		what.path = scrub(what.path, maxMessage, secrets)
		if l.first(&what, method) {
			attributes := []slog.Attr{
				slog.String("method", string(method)), slog.String("path", what.path), slog.String("kind", string(what.kind)),
			}
			if count.problem != "" {
				attributes = append(attributes, slog.String("problem", count.problem))
			}
			l.log.LogAttrs(ctx, slog.LevelWarn, "the vendor departs from what was agreed", attributes...)
		}
		l.counter.Add(ctx, int64(count.times), metric.WithAttributes(l.account, attribute.String("method", string(method)),
			attribute.String("path", what.path), attribute.String("kind", string(what.kind))))
	}
}

// first says whether something is new, and so to be said. What is too much to tell apart
// loses its path.
func (l *driftLog) first(what *drift, method protoreflect.FullName) bool {
	key := driftKey{method: method, drift: *what}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.seen[key]:
		return false
	case len(l.seen) >= maxDrift:
		what.path = "other"
		return false
	default:
		l.seen[key] = true
		return true
	}
}
