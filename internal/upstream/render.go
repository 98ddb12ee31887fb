package upstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// HTTPRequest is what one call asks of the vendor, without the headers and the
// host that all calls share.
type HTTPRequest struct {
	Method string
	// Path is escaped and begins with a slash.
	Path  string
	Query url.Values
	// Body is JSON; nil where the request has none.
	Body []byte
}

// Render says what req asks of the vendor. It is pure, and what it says is what
// [Client.Do] sends. Errors that the caller of the service can mend are
// [*fault.Error]; others mean that the API's description is wrong.
func Render(m *methods.Method, req proto.Message) (HTTPRequest, error) {
	if !m.Upstream() {
		return HTTPRequest{}, fmt.Errorf("%s is no method of the vendor's", m.Name)
	}
	msg := req.ProtoReflect()
	if got := msg.Descriptor().FullName(); got != m.Input.Descriptor().FullName() {
		return HTTPRequest{}, fmt.Errorf("%s takes %s, not %s", m.Name, m.Input.Descriptor().FullName(), got)
	}
	mask, err := checkMask(m, msg)
	if err != nil {
		return HTTPRequest{}, err
	}
	path, err := fillPath(m.Path, msg)
	if err != nil {
		return HTTPRequest{}, err
	}
	out := HTTPRequest{Method: m.Verb, Path: path}
	values, err := chosen(m, msg, mask)
	if err != nil {
		return HTTPRequest{}, err
	}
	if m.Body {
		out.Body, err = marshal(values)
	} else {
		out.Query, err = query(values)
	}
	if err != nil {
		return HTTPRequest{}, fmt.Errorf("writing the request of %s: %w", m.Name, err)
	}
	return out, nil
}

// chosen are the values that are sent outside of the path, by field name.
func chosen(m *methods.Method, msg protoreflect.Message, mask []string) (map[string]any, error) {
	values := map[string]any{}
	inPath := pathFields(m.Path)
	fields := msg.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		name := string(fd.Name())
		switch {
		case methods.Local(fd) || slices.Contains(inPath, name):
			continue
		case msg.Has(fd):
		case !slices.Contains(mask, name):
			continue
		case methods.ClearWith(fd) != "":
			// The vendor takes an empty list for "not given", and has a flag instead.
			continue
		}
		v, err := toJSON(fd, msg.Get(fd)) // the zero value where fd is absent
		if err != nil {
			return nil, err
		}
		values[name] = v
	}
	for _, name := range mask {
		fd := fields.ByName(protoreflect.Name(name))
		if flag := methods.ClearWith(fd); flag != "" && !msg.Has(fd) {
			values[flag] = true
		}
	}
	return values, nil
}

// pathFields are the names of the request fields in a path template.
func pathFields(template string) []string {
	var names []string
	for _, part := range strings.Split(template, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		names = append(names, name)
	}
	return names
}

func fillPath(template string, msg protoreflect.Message) (string, error) {
	path := template
	for _, name := range pathFields(template) {
		fd := msg.Descriptor().Fields().ByName(protoreflect.Name(name))
		if fd == nil || fd.IsList() || fd.IsMap() {
			return "", fmt.Errorf("path %s: %s has no single field %s", template, msg.Descriptor().FullName(), name)
		}
		v, err := toJSON(fd, msg.Get(fd))
		if err != nil {
			return "", err
		}
		text, err := plain(v)
		if err != nil {
			return "", fmt.Errorf("path field %s: %w", name, err)
		}
		switch text {
		case "":
			return "", fault.Invalid(name, "is required")
		case ".", "..":
			// Not escaped by any rule, and on some servers a way to another resource.
			return "", fault.Invalid(name, "%q is no id", text)
		}
		path = strings.Replace(path, "{"+name+"}", url.PathEscape(text), 1)
	}
	return path, nil
}

func query(values map[string]any) (url.Values, error) {
	out := url.Values{}
	for name, v := range values {
		items, list := v.([]any)
		if !list {
			items = []any{v}
		}
		for _, item := range items {
			text, err := plain(item)
			if err != nil {
				return nil, fmt.Errorf("query parameter %s: %w", name, err)
			}
			out.Add(name, text)
		}
	}
	return out, nil
}

// marshal writes values as one JSON object, with its keys in order so that the
// same request always looks the same.
func marshal(values map[string]any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(values); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(out.Bytes()), nil
}
