package upstream

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	// extraField is the field of ours in which a message keeps what its
	// descriptor does not know.
	extraField = "vendor_extra"
	// maxExtra is about how many bytes one message keeps.
	maxExtra = 64 << 10
	// leftOutKey tells how many values were too much to keep.
	leftOutKey = "[left out]"
	// maxDrift is how many places are told apart in metrics and logs: the vendor
	// may send names without end.
	maxDrift = 1000

	redactedText = "[redacted]"
)

// note counts a place that the descriptors do not know.
func (d *decoder) note(at *place) { d.drift[at.pattern()]++ }

// unknown counts a value that the descriptors do not know, and keeps it with the
// nearest message around it that can.
func (d *decoder) unknown(at *place, keep *extras, value any) {
	d.note(at)
	if keep != nil {
		keep.add(at.path(keep.from), value)
	}
}

// extras is what one message keeps.
type extras struct {
	from    *place // the message; keys are paths below it
	fields  map[string]*structpb.Value
	size    int
	leftOut int
}

func (e *extras) add(key string, value any) {
	size := len(key) + sizeOf(value)
	if e.size+size > maxExtra {
		e.leftOut++
		return
	}
	e.size += size
	if e.fields == nil {
		e.fields = map[string]*structpb.Value{}
	}
	e.fields[key] = freeValue(value)
}

// message is nil when there is nothing to keep.
func (e *extras) message() *structpb.Struct {
	if e.leftOut > 0 {
		if e.fields == nil {
			e.fields = map[string]*structpb.Value{}
		}
		e.fields[leftOutKey] = structpb.NewNumberValue(float64(e.leftOut))
	}
	if e.fields == nil {
		return nil
	}
	return &structpb.Struct{Fields: e.fields}
}

// sizeOf is about how many bytes a value takes.
func sizeOf(value any) int {
	size := 8
	switch v := value.(type) {
	case string:
		size += len(v)
	case json.Number:
		size += len(v)
	case []any:
		for _, item := range v {
			size += sizeOf(item)
		}
	case map[string]any:
		for name, item := range v {
			size += len(name) + sizeOf(item)
		}
	}
	return size
}

// redacted replaces what stands under a name that looks like a secret's, at any
// depth. It changes value, which is the decoder's own.
func redacted(name string, value any) any {
	if looksSecret(name) {
		return redactedText
	}
	switch v := value.(type) {
	case map[string]any:
		for inner, item := range v {
			v[inner] = redacted(inner, item)
		}
	case []any:
		for i, item := range v {
			v[i] = redacted("", item)
		}
	}
	return value
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

	mu   sync.Mutex // guards seen
	seen map[driftKey]bool
}

type driftKey struct {
	method protoreflect.FullName
	path   string
}

func (l *driftLog) report(ctx context.Context, method protoreflect.FullName, drift map[string]int) {
	for path, count := range drift {
		key := driftKey{method: method, path: path}
		l.mu.Lock()
		known := l.seen[key]
		full := !known && len(l.seen) >= maxDrift
		if !known && !full {
			l.seen[key] = true
		}
		l.mu.Unlock()
		if full {
			key.path = "other"
		}
		if !known && !full {
			l.log.LogAttrs(ctx, slog.LevelWarn, "the vendor sent what this version does not know",
				slog.String("method", string(method)), slog.String("path", path))
		}
		l.counter.Add(ctx, int64(count), metric.WithAttributes(
			attribute.String("method", string(method)), attribute.String("path", key.path)))
	}
}
