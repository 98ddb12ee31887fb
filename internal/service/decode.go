package service

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// Connect answers what it cannot decode by itself, before any interceptor: without
// our details, and unseen by the log. So these codecs never fail. They leave a note
// in the message instead, which checkDecoded finds.

// noteField is the number of the unknown field that holds the note: the largest
// there can be, which no schema uses.
const noteField = protowire.MaxValidNumber

// codecs are for Protobuf and JSON, the latter under both names that connect has for it.
func codecs() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCodec(protoCodec{}),
		connect.WithCodec(jsonCodec{name: "json"}),
		connect.WithCodec(jsonCodec{name: "json; charset=utf-8"}),
	}
}

type protoCodec struct{}

func (protoCodec) Name() string { return "proto" }

func (protoCodec) Marshal(message any) ([]byte, error) {
	return protoCodec{}.MarshalAppend(nil, message)
}

// MarshalAppend spares connect a copy. Names are those of the .proto files, which
// are the vendor's; clients in all languages read both forms.
func (protoCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	m, err := asProto(message)
	if err != nil {
		return nil, err
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, m)
}

func (protoCodec) Unmarshal(data []byte, message any) error {
	m, err := asProto(message)
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(data, m); err != nil {
		leaveNote(m, "body", "is no "+string(m.ProtoReflect().Descriptor().FullName())+" in Protobuf's binary form")
	}
	return nil
}

// jsonCodec is stricter than connect's own: a field that we do not know is an
// error. A misspelt one would otherwise be dropped without a word, and the change
// made without it.
type jsonCodec struct{ name string }

func (c jsonCodec) Name() string { return c.name }

func (c jsonCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend spares connect a copy. Names are those of the .proto files, which
// are the vendor's; clients in all languages read both forms.
func (c jsonCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	m, err := asProto(message)
	if err != nil {
		return nil, err
	}
	return protojson.MarshalOptions{UseProtoNames: true}.MarshalAppend(dst, m)
}

func (c jsonCodec) Unmarshal(data []byte, message any) error {
	m, err := asProto(message)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		leaveNote(m, "body", "is empty; the least that is JSON is {}")
		return nil
	}
	mask, rest := takeMask(data, m.ProtoReflect().Descriptor())
	if mask.problem != "" {
		leaveNote(m, mask.name(), mask.problem)
		return nil
	}
	if err := protojson.Unmarshal(rest, m); err != nil {
		field, description := explainJSON(err)
		leaveNote(m, field, description)
		return nil
	}
	mask.put(m)
	return nil
}

func asProto(message any) (proto.Message, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no Protobuf message", message)
	}
	return m, nil
}

var (
	positionPattern = regexp.MustCompile(`\(line \d+:\d+\)`)
	unknownPattern  = regexp.MustCompile(`unknown field "([^"]+)"`)
	valuePattern    = regexp.MustCompile(`invalid value for (\S+) field ([^\s:]+)`)
)

// explainJSON says what is wrong without quoting the request: it may hold secrets,
// and what is said here is logged.
func explainJSON(err error) (field, description string) {
	position := positionPattern.FindString(err.Error())
	if position != "" {
		position = " " + position
	}
	if m := unknownPattern.FindStringSubmatch(err.Error()); m != nil {
		return m[1], "there is no such field" + position
	}
	if m := valuePattern.FindStringSubmatch(err.Error()); m != nil {
		return protoName(m[2]), "is not of type " + m[1] + position
	}
	return "body", "is not JSON as the message wants it" + position
}

// protoName is a field's name in the .proto files, as the other errors have it, made of
// that in JSON.
func protoName(name string) string {
	var b strings.Builder
	for _, r := range name {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func leaveNote(m proto.Message, field, description string) {
	proto.Reset(m)
	note := protowire.AppendTag(nil, noteField, protowire.BytesType)
	m.ProtoReflect().SetUnknown(protowire.AppendString(note, field+"\x00"+description))
}

var errMalformed = errors.New("malformed unknown fields")

// note is what a codec left in a message. Unknown fields of newer clients are no notes.
func note(m proto.Message) (text string, ok bool, err error) {
	for rest := []byte(m.ProtoReflect().GetUnknown()); len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return "", false, errMalformed
		}
		rest = rest[n:]
		if number == noteField && kind == protowire.BytesType {
			text, n := protowire.ConsumeString(rest)
			return text, n >= 0, nil
		}
		if n = protowire.ConsumeFieldValue(number, kind, rest); n < 0 {
			return "", false, errMalformed
		}
		rest = rest[n:]
	}
	return "", false, nil
}

// checkDecoded refuses what a codec could not read, and what could not be kept or shown.
func checkDecoded(ctx context.Context, m *methods.Method, req proto.Message) (context.Context, error) {
	text, found, err := note(req)
	if err != nil {
		return ctx, err
	}
	if found {
		field, description, _ := strings.Cut(text, "\x00")
		return ctx, fault.Invalid(field, "%s", description)
	}
	return ctx, (&contentCheck{whole: m.Durable()}).message(req.ProtoReflect(), 0)
}

// tooLarge is the error for a request that is too large, in whichever form.
func tooLarge(limit int64) error {
	description := fmt.Sprintf("is larger than %d bytes", limit)
	return &fault.Error{
		Reason:     pb.ErrorReason_ERROR_REASON_INVALID_REQUEST,
		Public:     "the request " + description + "; send less at a time",
		Violations: []fault.Violation{{Field: "body", Description: description}},
	}
}
