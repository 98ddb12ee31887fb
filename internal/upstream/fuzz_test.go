package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `{"agent":{}}`, `{"agent":{"uuid":"u","k":1.0,"user_id":"5","created_at":"2026-01-01","tags":["a",null]}}`,
		`{"agent":{"child_agents":[{"mood":{"secret":[1]}}],"deployment":{"status":"STATUS_NEW"}},"operation":1}`,
		`{"agent":{"functions":[{"input_schema":{"a":[1e999,{"b":null}]}}],"vendor_extra":{}}}`,
		`{"agent":{"":{"":""},"a.b[0]":1,"\u0000\n":2}}`, "{\"agent\":{\"name\":\"\xff\"}}", `{"agent":{"k":1e308,"temperature":-0}}`,
		`{"agent":{"k":[1],"uuid":{"api_key":"s"},"tags":{"a":1},"deployment":7,"created_at":"soon","model":{"usecases":[1.5,"x",{}]}}}`,
		`{"agent":{"deployment":{"x":1},"k":1,"tags":["a"],"deployment":{"y":2},"k":null,"tags":[]},"agent":{"api_keys":["s"],"mcp_servers":[{"headers":1}]}}`,
	} {
		f.Add([]byte(seed))
	}
	var known shapes
	f.Fuzz(func(t *testing.T, body []byte) {
		got := &pb.GetAgentResponse{}
		_, err := known.decode(body, got)
		object := bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte(`{`))
		if want := object && json.Valid(body) && nesting(body) <= maxDepth; want != (err == nil) {
			t.Fatalf("encoding/json says %v: %v", want, err)
		}
		if err != nil {
			var format *FormatError
			if !errors.As(err, &format) || proto.Size(got) != 0 {
				t.Fatalf("error %v with %v", err, got)
			}
			return
		}
		if got.GetFreshness() != nil {
			t.Error("the vendor set what is ours")
		}
		// Whatever is decoded can be stored and be sent on.
		if _, err := proto.Marshal(got); err != nil {
			t.Errorf("cannot be stored: %v", err)
		}
		if _, err := protojson.Marshal(got); err != nil {
			t.Errorf("cannot be sent on: %v", err)
		}
	})
}

// FuzzScan holds the scanner to encoding/json: the same texts are JSON, and say the same.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		``, ` `, `null`, `nul`, `nullx`, `true false`, `-`, `-0`, `01`, `1.`, `1.5e+3`, `1e`, `.5`, `+1`, `9007199254740993`, `1e999`, `-1E-999`,
		`""`, `"`, `"\"`, `"\u00"`, `"\u0000"`, `"\ud83d\ude00\ud83d\udead\ud83dx\ude00\ud83d\n"`, `"\x"`, `"\/\b\f\n\r\t\\\""`, "\"\x01\"", "\"\x7f\xff\xe2\x82\"",
		"\"é€😀\xed\xa0\x80\"", `[]`, `[,]`, `[1,]`, `[1 2]`, `[1,[2,{"a":[]}]]`, `{}`, `{,}`, `{"a":1,}`, `{"a" : 1 , "a":2}`, `{"a"}`, `{a:1}`, `{1:1}`, `[}`, `{]`,
		"\ufeff{}", "\t[\r\n1 ]\v", `{"\u0000":{"":1},"\ud800":2,"�":3}`, strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := scanner{src: text}
		raw, err := s.skip()
		whole := err == nil && s.next() == 0 && s.pos == len(text)
		if want := json.Valid(text) && nesting(text) <= maxDepth; whole != want {
			t.Fatalf("is it JSON? %v, encoding/json says %v: %v", whole, want, err)
		}
		if !whole {
			return
		}
		if !bytes.Equal(raw, bytes.Trim(text, " \t\r\n")) || s.depth != 0 {
			t.Errorf("skipped %q, and stands %d deep", raw, s.depth)
		}
		d := decoder{scanner: scanner{src: text}}
		if err := d.freeValue(false); err != nil {
			t.Fatal(err)
		}
		got := &structpb.Value{}
		if err := proto.Unmarshal(d.out, got); err != nil {
			t.Fatal(err)
		}
		if want := freeValue(t, text); !proto.Equal(want, got) { // go-cmp takes for ever where it is deep
			t.Errorf("says %v, want %v", got, want)
		}
	})
}

// nesting is how deep brackets nest outside of strings, in what is JSON.
func nesting(text []byte) int {
	now, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// freeValue is JSON as encoding/json reads it.
func freeValue(t *testing.T, text []byte) *structpb.Value {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if first := bytes.TrimLeft(text, " \t\r\n")[0]; first == '{' {
		// Member by member: of names that are one without NUL, the last counts.
		fields := map[string]*structpb.Value{}
		decoder.Token()
		for decoder.More() {
			name, err := decoder.Token()
			if err != nil {
				t.Fatal(err)
			}
			var value json.RawMessage
			if err := decoder.Decode(&value); err != nil {
				t.Fatal(err)
			}
			fields[withoutNUL(name.(string))] = freeValue(t, value)
		}
		return structpb.NewStructValue(&structpb.Struct{Fields: fields})
	} else if first == '[' {
		var items []json.RawMessage
		if err := decoder.Decode(&items); err != nil {
			t.Fatal(err)
		}
		values := make([]*structpb.Value, len(items))
		for i, item := range items {
			values[i] = freeValue(t, item)
		}
		return structpb.NewListValue(&structpb.ListValue{Values: values})
	}
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	switch v := value.(type) {
	case bool:
		return structpb.NewBoolValue(v)
	case string:
		return structpb.NewStringValue(withoutNUL(v))
	case json.Number:
		f, err := v.Float64()
		if err != nil || math.Abs(f) >= exact && !strings.ContainsAny(v.String(), ".eE") {
			return structpb.NewStringValue(v.String())
		}
		return structpb.NewNumberValue(f)
	default:
		return structpb.NewNullValue()
	}
}

func withoutNUL(text string) string { return strings.ReplaceAll(text, "\x00", "\uFFFD") }
