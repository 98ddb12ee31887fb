package methods

import (
	"bytes"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// minSecret is the shortest text that counts as a secret when it is looked for in
// others: shorter ones stand everywhere.
const minSecret = 6

// Scrubbed stands where a secret was found in a text that is none.
const Scrubbed = "[redacted]"

// SecretValues are the texts of the secrets in m, also in the forms that they have within
// JSON, URLs and HTML, each once. What goes by "Bearer x" is known as x as well. Smaller parts do not count:
// words of a secret stand in innocent texts too, and what is taken out of those is lost to
// whoever reads them.
func SecretValues(m proto.Message) []string {
	var secrets []string
	add := func(text string) {
		if len(text) < minSecret {
			return
		}
		for _, form := range forms(text) {
			if !slices.Contains(secrets, form) {
				secrets = append(secrets, form)
			}
		}
	}
	var walk func(m protoreflect.Message, secret bool)
	value := func(fd protoreflect.FieldDescriptor, v protoreflect.Value, secret bool) {
		switch {
		case fd.Message() != nil:
			walk(v.Message(), secret)
		case secret && fd.Kind() == protoreflect.StringKind:
			add(v.String())
			if _, credentials, ok := strings.Cut(v.String(), " "); ok {
				add(strings.TrimSpace(credentials))
			}
		}
	}
	walk = func(m protoreflect.Message, secret bool) {
		if !secret && !holds(m.Descriptor()) {
			return
		}
		m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			each(fd, v, func(fd protoreflect.FieldDescriptor, v protoreflect.Value) { value(fd, v, secret || Secret(fd)) })
			return true
		})
	}
	walk(m.ProtoReflect(), false)
	return secrets
}

// forms are a text as it is and as it is written where some characters stand for others.
func forms(text string) []string {
	query := url.QueryEscape(text)
	all := []string{
		text, quotedJSON(text), html.EscapeString(text),
		query, strings.ReplaceAll(query, "+", "%20"), url.PathEscape(text),
	}
	for _, escaped := range all[3:] {
		all = append(all, lowerHex(escaped))
	}
	return all
}

// lowerHex writes what is percent-encoded in the other of its two ways.
func lowerHex(escaped string) string {
	out := []byte(escaped)
	for i := 0; i+2 < len(out); i++ {
		if out[i] == '%' {
			copy(out[i+1:], strings.ToLower(string(out[i+1:i+3])))
		}
	}
	return string(out)
}

// quotedJSON is a text as it stands between the quotes of a JSON string.
func quotedJSON(text string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // most who write JSON write < as it is
	if err := encoder.Encode(text); err != nil {
		return text
	}
	return strings.TrimSuffix(strings.TrimPrefix(out.String(), `"`), "\"\n")
}

// Scrub takes the secrets out of all texts of m that are not secrets themselves. A
// vendor may echo what it was given, or what it gives, where nobody expects it.
func Scrub(m proto.Message, secrets []string) {
	if len(secrets) == 0 {
		return
	}
	pairs := make([]string, 0, 2*len(secrets))
	for _, secret := range secrets {
		pairs = append(pairs, secret, Scrubbed)
	}
	scrub(m.ProtoReflect(), strings.NewReplacer(pairs...))
}

func scrub(m protoreflect.Message, clean *strings.Replacer) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		text := fd.Kind() == protoreflect.StringKind
		switch {
		case Secret(fd):
		case fd.IsMap():
			scrubMap(fd, v.Map(), clean)
		case fd.IsList() && text:
			for i := range v.List().Len() {
				v.List().Set(i, protoreflect.ValueOfString(clean.Replace(v.List().Get(i).String())))
			}
		case text:
			m.Set(fd, protoreflect.ValueOfString(clean.Replace(v.String())))
		case fd.Message() != nil:
			each(fd, v, func(_ protoreflect.FieldDescriptor, v protoreflect.Value) { scrub(v.Message(), clean) })
		}
		return true
	})
}

// scrubMap is for the fields of a Struct: names are texts too.
func scrubMap(fd protoreflect.FieldDescriptor, m protoreflect.Map, clean *strings.Replacer) {
	var renamed []protoreflect.MapKey
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		if fd.MapValue().Message() != nil {
			scrub(v.Message(), clean)
		}
		if fd.MapKey().Kind() == protoreflect.StringKind && clean.Replace(k.String()) != k.String() {
			renamed = append(renamed, k)
		}
		return true
	})
	for _, k := range renamed {
		v := m.Get(k)
		m.Clear(k)
		m.Set(protoreflect.ValueOfString(clean.Replace(k.String())).MapKey(), v)
	}
}

// each calls do for the elements of a list or the values of a map, or for the one value.
func each(fd protoreflect.FieldDescriptor, v protoreflect.Value, do func(protoreflect.FieldDescriptor, protoreflect.Value)) {
	switch {
	case fd.IsMap():
		v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
			do(fd.MapValue(), v)
			return true
		})
	case fd.IsList():
		for i := range v.List().Len() {
			do(fd, v.List().Get(i))
		}
	default:
		do(fd, v)
	}
}
