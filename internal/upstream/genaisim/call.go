package genaisim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// call is a request that has been understood, with the means to read it and to
// say what it did.
type call struct {
	r          *http.Request
	op         *operation // nil for a path the API does not have
	handle     handler
	params     map[string]string
	query      url.Values
	body       fields
	deviations []string
	early      *apiError // the answer, decided before looking at any state

	// Set when the call is carried out, under the server's mutex.
	st  *state
	now time.Time
	// Set by the handler.
	effect   string // empty: none
	resource string
}

// didf records the effect of the call. Handlers call it only once nothing can
// go wrong any more.
func (c *call) didf(format string, args ...any) {
	c.effect = fmt.Sprintf(format, args...)
}

// newCall finds the operation of a request and checks the request against the
// contract.
func (s *Server) newCall(x *exchange) *call {
	c := &call{r: x.r}
	op, values, allowed := s.contract.find(x.r.Method, x.r.URL.Path)
	if op == nil {
		c.early = plainError(http.StatusNotFound)
		if len(allowed) > 0 {
			c.early = plainError(http.StatusMethodNotAllowed)
		}
		return c
	}
	c.op, c.handle = op, s.handlers[op.key]
	if c.handle == nil {
		c.early = plainError(http.StatusNotImplemented)
		return c
	}
	c.params = make(map[string]string, len(values))
	for i, name := range op.params {
		c.params[name] = strings.ToLower(values[i])
	}
	c.deviations = op.checkParams(values, nil)

	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		c.deviations = append(c.deviations, "the query is malformed: "+err.Error())
	}
	c.query = query
	c.deviations = op.checkQuery(query, c.deviations)

	value, err := decodeJSON(x.body)
	if err != nil {
		c.early = badRequest("the body is not JSON: %v", err)
		return c
	}
	object, isObject := value.(map[string]any)
	switch {
	case isObject:
		c.deviations = op.body.checkFields("", object, c.deviations)
		c.body = op.body.known(object)
	case value != nil && value != "":
		c.deviations = append(c.deviations, "the body: expected an object, got "+describe(value))
		c.early = badRequest("the body must be a JSON object")
	}
	if s.cfg.Strict && len(c.deviations) > 0 {
		c.early = unprocessable(strings.Join(c.deviations, "; "))
	}
	return c
}

// decodeJSON decodes one JSON value, nil for an empty body. Numbers become
// json.Number.
func decodeJSON(body []byte) (any, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil //nolint:nilnil // no body is a legitimate value: JSON null
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, fmt.Errorf("decoding JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("decoding JSON: more than one value")
	}
	return value, nil
}

// queryList returns a list parameter, repeated or joined by commas.
func (c *call) queryList(name string) []string {
	var list []string
	for _, values := range [][]string{c.query[name], c.query[name+"[]"]} {
		for _, value := range values {
			for element := range strings.SplitSeq(value, ",") {
				if element != "" && !slices.Contains(list, element) {
					list = append(list, element)
				}
			}
		}
	}
	return list
}

// queryBool returns a boolean parameter, false if it is not given or wrong.
func (c *call) queryBool(name string) bool {
	value, err := strconv.ParseBool(c.query.Get(name))
	return err == nil && value
}

// queryInt returns an integer parameter, fallback if it is not given, wrong or
// below 1.
func (c *call) queryInt(name string, fallback int) int {
	value, err := strconv.Atoi(c.query.Get(name))
	if err != nil || value < 1 {
		return fallback
	}
	return value
}

// fields are the fields of a JSON object in a request. Their methods tell what
// is given: a null, and for most fields an empty string, is not. A value of a
// wrong type is converted where that is plain and counts as not given where it
// is not, as the request has been let through by a simulator that is not strict.
type fields map[string]any

// text returns a text that is given and not empty.
func (f fields) text(name string) (string, bool) {
	switch value := f[name].(type) {
	case string:
		return value, value != ""
	case json.Number:
		return value.String(), true
	case bool:
		return strconv.FormatBool(value), true
	}
	return "", false
}

// id returns a uuid in lower case.
func (f fields) id(name string) (string, bool) {
	value, ok := f.text(name)
	return strings.ToLower(value), ok
}

// textOrEmpty is text, but takes an empty string for given.
func (f fields) textOrEmpty(name string) (string, bool) {
	if value, ok := f[name].(string); ok {
		return value, true
	}
	return f.text(name)
}

func (f fields) integer(name string) (int64, bool) {
	text, ok := f.numeral(name)
	if !ok {
		return 0, false
	}
	return integral(text)
}

func (f fields) number(name string) (float64, bool) {
	text, ok := f.numeral(name)
	if !ok {
		return 0, false
	}
	value, err := strconv.ParseFloat(text, 64)
	return value, err == nil
}

func (f fields) numeral(name string) (string, bool) {
	switch value := f[name].(type) {
	case string:
		return value, value != ""
	case json.Number:
		return value.String(), true
	}
	return "", false
}

func (f fields) boolean(name string) (value, ok bool) {
	switch given := f[name].(type) {
	case bool:
		return given, true
	case string:
		value, err := strconv.ParseBool(given)
		return value, err == nil
	}
	return false, false
}

// list returns an array, which is given even if it is empty. A single text
// stands for its parts between commas.
func (f fields) list(name string) ([]any, bool) {
	switch value := f[name].(type) {
	case []any:
		return value, true
	case string:
		if value == "" {
			return nil, false
		}
		var list []any
		for element := range strings.SplitSeq(value, ",") {
			list = append(list, element)
		}
		return list, true
	}
	return nil, false
}

// texts returns an array of texts, without its empty elements, nil if none is
// left.
func (f fields) texts(name string) ([]string, bool) {
	list, ok := f.list(name)
	var texts []string
	for _, element := range list {
		if text, ok := (fields{"": element}).text(""); ok {
			texts = append(texts, text)
		}
	}
	return texts, ok
}

// ids returns an array of uuids, each once, in lower case.
func (f fields) ids(name string) []string {
	texts, _ := f.texts(name)
	var ids []string
	for _, text := range texts {
		if id := strings.ToLower(text); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// objects returns an array of objects, without elements of other types.
func (f fields) objects(name string) []fields {
	list, _ := f.list(name)
	var objects []fields
	for _, element := range list {
		if object, ok := element.(map[string]any); ok {
			objects = append(objects, object)
		}
	}
	return objects
}

// free returns an object with any fields, as JSON.
func (f fields) free(name string) (json.RawMessage, bool) {
	object, ok := f[name].(map[string]any)
	if !ok {
		return nil, false
	}
	raw, err := json.Marshal(object)
	return raw, err == nil
}
