package e2e_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// markers stand for secrets: texts that can be nowhere by chance, each with a number that
// tells whose secret it is.
type markers struct {
	what []string // by number
}

// markerText is what all markers begin with.
const markerText = "marker-of-a-secret"

// make is one more marker, of what is told.
func (k *markers) make(format string, args ...any) string {
	k.what = append(k.what, fmt.Sprintf(format, args...))
	return k.texts([]int{len(k.what) - 1})[0]
}

// since are the markers from a number on.
func (k *markers) since(first int) []string {
	var numbers []int
	for n := first; n < len(k.what); n++ {
		numbers = append(numbers, n)
	}
	return k.texts(numbers)
}

// texts are markers by their numbers.
func (*markers) texts(numbers []int) []string {
	texts := make([]string, 0, len(numbers))
	for _, n := range numbers {
		texts = append(texts, fmt.Sprintf("%s-%06d", markerText, n))
	}
	return texts
}

// in are the numbers of the markers in a text; -1 stands for a part of one, or for one in
// another form.
func (k *markers) in(text string) []int {
	found := map[int]bool{}
	for _, at := range regexp.MustCompile(markerText+`(-\d{6})?`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(strings.TrimPrefix(at[1], "-"))
		if err != nil {
			n = -1
		}
		found[n] = true
	}
	for _, form := range otherForms() {
		if strings.Contains(text, form) {
			found[-1] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// otherForms are the ways in which the beginning of a marker may be written.
func otherForms() []string {
	forms := []string{
		hex.EncodeToString([]byte(markerText)), strings.ToUpper(hex.EncodeToString([]byte(markerText))),
		strings.ReplaceAll(markerText, "-", "%2D"), strings.ReplaceAll(markerText, "-", `\u002d`),
	}
	for shift := range 3 { // base64 writes three bytes at a time, so where a text begins makes a difference
		whole := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + markerText))
		forms = append(forms, whole[(shift*8+5)/6:len(whole)-2])
	}
	return forms
}

// told says what the markers are of.
func (k *markers) told(numbers []int) string {
	var whats []string
	for _, n := range numbers {
		what := "a part of one, or one in another form"
		if n >= 0 && n < len(k.what) {
			what = k.what[n]
		}
		if !slices.Contains(whats, what) {
			whats = append(whats, what)
		}
	}
	if len(whats) > 5 {
		whats = append(whats[:5], fmt.Sprintf("and %d more", len(whats)-5))
	}
	return strings.Join(whats, "; ")
}

// inRequest fills secrets of requests with markers. An authorization is a word and the
// secret, or has the secret in quotes, which look otherwise wherever they are written in
// JSON.
func (k *markers) inRequest(f *filler, m *methods.Method, quotes bool) {
	f.secret = func(fd protoreflect.FieldDescriptor) string {
		marker := k.make("%s, %s of the request", m.Name.Name(), fd.Name())
		switch {
		case fd.Name() != "authorization":
			return marker
		case quotes:
			return `Digest username="agents", response="` + marker + `"`
		default:
			return "Bearer " + marker
		}
	}
}

// secretTexts are all texts in the secret fields of a message.
func secretTexts(m protoreflect.Message, secret bool) []string {
	var texts []string
	one := func(fd protoreflect.FieldDescriptor, v protoreflect.Value, secret bool) {
		switch {
		case fd.Message() != nil:
			texts = append(texts, secretTexts(v.Message(), secret)...)
		case secret && fd.Kind() == protoreflect.StringKind:
			texts = append(texts, v.String())
		}
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		hidden := secret || methods.Secret(fd)
		switch {
		case fd.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				one(fd.MapValue(), v, hidden)
				return true
			})
		case fd.IsList():
			for i := range v.List().Len() {
				one(fd, v.List().Get(i), hidden)
			}
		default:
			one(fd, v, hidden)
		}
		return true
	})
	return texts
}

// forms are the secrets of a request as a vendor may repeat them.
func (k *markers) forms(req proto.Message) []string {
	var forms []string
	for _, secret := range secretTexts(req.ProtoReflect(), false) {
		if strings.Contains(secret, `"`) { // nobody would know a part of it as a secret
			forms = append(forms, secret, asJSON(secret))
		} else {
			forms = append(forms, k.texts(k.in(secret))...)
		}
	}
	return forms
}

// answer is a whole answer of a method, with markers in the fields that are secret.
func (k *markers) answer(a *answerer, m *methods.Method, op vendorOperation) map[string]any {
	a.text = func(shape, field string, n int) string {
		if slices.Contains(secretFields()[shape], field) {
			return k.make("%s, %s of the answer", m.Name.Name(), field)
		}
		return fmt.Sprintf("%s %d", field, n)
	}
	answer := a.answer(op)
	a.text = nil
	a.agreed(op, answer)
	if (answered{m, op}).read() {
		living(op, answer, false)
	}
	return answer
}

// echo repeats secrets in all texts of an answer that are no secrets themselves, in the
// names and values of what is free-form, and in fields that nobody knows.
func (k *markers) echo(c *contract, op vendorOperation, answer map[string]any, secrets []string) {
	if len(secrets) == 0 {
		return
	}
	turn := 0
	next := func() string {
		turn++
		return secrets[turn%len(secrets)]
	}
	var visit func(shape string, fields map[string]string, object map[string]any)
	visit = func(shape string, fields map[string]string, object map[string]any) {
		for _, name := range slices.Sorted(maps.Keys(object)) {
			kind, list := element(fields[name])
			switch {
			case slices.Contains(secretFields()[shape], name):
			case c.fields(kind) != nil:
				for _, part := range objectsOf(object[name]) {
					visit(kind[1:], c.fields(kind), part)
				}
			case kind == "string" && list:
				object[name] = []any{"we got " + next(), next()}
			case kind == "string":
				object[name] = fmt.Sprintf("%v, for %s", object[name], next())
			case (kind == "object" || kind == "any") && !list:
				object[name] = map[string]any{"said": "we got " + next(), next(): "a name", "list": []any{next()}}
			}
		}
		if shape != "" {
			object["new_field"] = map[string]any{"said": "we got " + next(), next(): []any{next()}}
		}
	}
	visit("", op.Answer, answer)
}

// wantNone fails the test for each marker in a text that is not allowed there.
func (k *markers) wantNone(t *testing.T, where, text string, allowed ...string) {
	t.Helper()
	for _, secret := range allowed {
		text = strings.ReplaceAll(text, secret, "")
	}
	if found := k.in(text); len(found) > 0 {
		t.Errorf("%s has %d secrets: %s", where, len(found), k.told(found))
	}
}
