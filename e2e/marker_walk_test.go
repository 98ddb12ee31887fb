package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// TestSecretsStayNowhere gives each secret field of every request, and of every answer of
// the vendor's, a text of its own, and lets the vendor repeat them wherever there is text.
// Then it looks for them: nobody but the caller who is to have a secret has it, and the
// service keeps none.
func TestSecretsStayNowhere(t *testing.T) {
	c := readContract(t)
	h := &markerWalk{markers: &markers{}, c: c, filler: &filler{t: t, c: c}, answers: &answerer{c: c, n: 1 << 16}}
	h.vendorToken = h.make("the vendor's token")
	h.world, h.vendor, h.service, h.admin = startScripted(t, c, "DIGITALOCEAN_TOKEN="+h.vendorToken, "AGENTSVC_LOG_LEVEL=debug")
	h.caller, h.stranger = h.service.caller(t, h.admin), h.service.caller(t, h.search)
	for _, m := range methods.API().All() {
		if m.Upstream() {
			t.Run(string(m.Name.Parent().Name()+"."+m.Name.Name()), func(t *testing.T) { h.method(t, m) })
		}
	}
	t.Run("secrets that wait", h.waiting)
	tables, _ := h.tables(t)
	for name, token := range map[string]string{"the administrator's": h.admin, "the owner's": h.payments, "the stranger's": h.search} {
		secret := strings.SplitN(token, "_", 3)[2] // which may have such signs itself
		if strings.Contains(h.service.String(), secret) {
			t.Errorf("the log has %s token", name)
		}
		for table, text := range tables {
			if strings.Contains(text, secret) {
				t.Errorf("table %s has %s token", table, name)
			}
		}
	}
	h.hunt(t, "in the end")
	if h.methods != vendorOperations {
		t.Errorf("%d methods were called, want %d", h.methods, vendorOperations)
	}
	t.Logf("%d markers in %d calls of %d methods; %d of those in requests came to the vendor, and %d in answers to their callers",
		len(h.what), h.calls, h.methods, h.came, h.delivered)
	if h.came == 0 || h.delivered == 0 {
		t.Error("nothing secret was carried")
	}
}

// markerWalk is the test's way through all methods.
type markerWalk struct {
	*world
	*markers

	c           *contract
	vendor      *scripted
	vendorToken string
	service     *service
	admin       string
	caller      *caller // an administrator
	stranger    *caller // of another team
	filler      *filler
	answers     *answerer

	methods, calls, came, delivered int
}

// method calls a method so that it succeeds, is refused by the vendor, is not valid, and
// is not allowed.
func (h *markerWalk) method(t *testing.T, m *methods.Method) {
	t.Helper()
	h.methods++
	h.filler.t = t
	h.filler.choices = 1
	for h.filler.choice = 0; h.filler.choice < h.filler.choices; h.filler.choice++ {
		h.succeeds(t, m, h.request(t, m, false))
		req := h.request(t, m, false)
		h.refused(t, m, req)
		if len(h.markersIn(req)) > 0 {
			h.denied(t, m, h.request(t, m, false))
			h.invalid(t, m, h.request(t, m, false))
			h.succeeds(t, m, h.request(t, m, true))
			h.refused(t, m, h.request(t, m, true))
		}
	}
}

// request is a request with markers, about resources that the service knows.
func (h *markerWalk) request(t *testing.T, m *methods.Method, quotes bool) proto.Message {
	t.Helper()
	h.inRequest(h.filler, m, quotes)
	full := m.Change() || m.Access.GetAction() == pb.Action_ACTION_REVEAL
	req := h.filler.request(m, full)
	h.filler.secret = nil
	h.seed(t, m, req)
	h.calls++
	ours{team: "payments", reason: "to see what becomes of secrets", key: fmt.Sprintf("key %d", h.calls)}.set(m, req)
	return req
}

// succeeds has the vendor do what it is asked for, and repeat all secrets of the call.
func (h *markerWalk) succeeds(t *testing.T, m *methods.Method, req proto.Message) {
	t.Helper()
	given := secretTexts(req.ProtoReflect(), false)
	answer, own := h.script(m, req)
	resp, raw, failure := h.caller.call(t, m, req)
	if failure != nil {
		t.Errorf("%s", failure)
		return
	}
	h.came += h.wantCame(t, m, given)
	if !(answered{m, h.c.Operations[m.Verb+" "+m.Path]}).reveals() {
		h.wantNone(t, "the answer", string(raw))
		return
	}
	h.wantNone(t, "the answer", string(raw), own...)
	for _, secret := range own {
		if !slices.Contains(h.markersIn(resp), secret) {
			t.Errorf("the caller was not given the %s", h.told(h.in(secret)))
		}
		h.delivered++
	}
	if len(own) == 0 && m.Access.GetReturnsSecret() {
		t.Errorf("%s is to hand out a secret, and has none: %v", m.Name, answer)
	}
}

// wantCame checks that the secrets of a request came to the vendor, and answers how many.
func (h *markerWalk) wantCame(t *testing.T, m *methods.Method, given []string) int {
	t.Helper()
	secrets := h.texts(h.in(strings.Join(given, "\n")))
	came := h.arrived(secrets)
	if came != len(secrets) {
		t.Errorf("%s: %d of %d secrets came to the vendor", m.Name, came, len(secrets))
	}
	return came
}

// script has the vendor answer a method, with secrets wherever there is text. own are
// those that are the answer's.
func (h *markerWalk) script(m *methods.Method, req proto.Message) (answer map[string]any, own []string) {
	op := h.c.Operations[m.Verb+" "+m.Path]
	given := h.forms(req)
	first := len(h.what)
	answer = h.answer(h.answers, m, op)
	own = h.since(first)
	h.answers.about(m, answer, func(field string) string { return methods.String(req, field) })
	split := []map[string]any{answer}
	if m.Verb == http.MethodGet && op.paged() {
		split = pages(op, answer)
	}
	for i := range split {
		// Each page by itself: what is on another nobody can know.
		split[i] = plainJSON(split[i]).(map[string]any)
		h.echo(h.c, op, split[i], append(slices.Clone(given), h.texts(h.in(asJSON(split[i])))...))
	}
	script := map[string]func(arrival) reply{m.Verb + " " + m.Path: func(a arrival) reply {
		return reply{http.StatusOK, split[min(a.page(), len(split))-1]}
	}}
	if string(m.Name.Name()) == "ListAgentRoutes" {
		h.routes(m, script)
	}
	if shows := methods.API().ByName(m.Access.GetShownBy()); shows != nil {
		showing := h.c.Operations[shows.Verb+" "+shows.Path]
		first := len(h.what)
		shown := h.answer(h.answers, shows, showing)
		h.echo(h.c, showing, shown, append(slices.Clone(given), h.since(first)...))
		script[shows.Verb+" "+shows.Path] = func(a arrival) reply {
			h.answers.about(shows, shown, func(field string) string { return a.params[field] })
			return reply{http.StatusOK, shown}
		}
	}
	h.vendor.play(withParts(m, req, script))
	return answer, own
}

// routes has the vendor show agents, of which ListAgentRoutes is put together.
func (h *markerWalk) routes(m *methods.Method, script map[string]func(arrival) reply) {
	op, first := h.c.Operations[showAgent], len(h.what)
	answer := h.answer(h.answers, m, op)
	h.echo(h.c, op, answer, h.since(first))
	script[showAgent] = func(a arrival) reply {
		answer["agent"].(map[string]any)["uuid"] = a.params["uuid"]
		return reply{http.StatusOK, answer}
	}
}

// markersIn are the markers that a message has.
func (h *markerWalk) markersIn(m proto.Message) []string {
	return h.texts(h.in(strings.Join(secretTexts(m.ProtoReflect(), false), "\n")))
}

// refused has the vendor refuse the request, and repeat all of it.
func (h *markerWalk) refused(t *testing.T, m *methods.Method, req proto.Message) {
	t.Helper()
	refuse := func(a arrival) reply {
		said := strings.Join(h.forms(req), ", ") + " with " + a.token + " in " + string(a.body)
		return reply{http.StatusBadRequest, map[string]any{
			"id": "bad " + strings.Join(h.forms(req), " "), "message": "we do not like " + said, "request_id": "request of " + said,
		}}
	}
	script := map[string]func(arrival) reply{m.Verb + " " + m.Path: refuse}
	if string(m.Name.Name()) == "ListAgentRoutes" {
		script[showAgent] = refuse
	}
	h.vendor.play(withParts(m, req, script))
	_, raw, failure := h.caller.call(t, m, req)
	switch {
	case failure != nil:
		h.wantNone(t, "the error", failure.text(raw))
		if len(h.markersIn(req)) > 0 && failure.Code != "invalid_argument" {
			t.Errorf("the refusal is told as %s", failure)
		}
	case m.Change():
		t.Error("a change that the vendor refused succeeded")
	default: // what we hold is answered instead
		h.wantNone(t, "the answer from the copy", string(raw))
	}
}

// denied makes the call as a stranger.
func (h *markerWalk) denied(t *testing.T, m *methods.Method, req proto.Message) {
	t.Helper()
	h.vendor.play(nil)
	_, raw, failure := h.stranger.call(t, m, req)
	if failure == nil || failure.Code != "not_found" && failure.Code != "permission_denied" {
		t.Errorf("to a stranger the answer is %s", failure)
		return
	}
	h.wantNone(t, "the denial", failure.text(raw))
}

// invalid makes the call with a request that cannot be read or is not valid.
func (h *markerWalk) invalid(t *testing.T, m *methods.Method, req proto.Message) {
	t.Helper()
	h.vendor.play(nil)
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	var secret string
	for _, given := range secretTexts(req.ProtoReflect(), false) {
		// Where there is an authorization, what is beside it may have any form.
		if bytes.Contains(text, []byte(`"`+given+`"`)) && !strings.HasPrefix(secret, "Bearer ") {
			secret = given
		}
	}
	quoted := `"` + secret + `"`
	bodies := map[string]string{
		"an unknown field":              `{"nonsense": ` + quoted + `, ` + string(text[1:]),
		"cut off":                       string(text[:bytes.Index(text, []byte(secret))+len(secret)]),
		"cut off after it":              string(text[:bytes.Index(text, []byte(secret))+len(secret)+1]),
		"an object in its place":        strings.ReplaceAll(string(text), quoted, `{`+quoted+`: `+quoted+`}`),
		"a list in its place":           strings.ReplaceAll(string(text), quoted, `[`+quoted+`]`),
		"a word in its place":           strings.ReplaceAll(string(text), quoted, secret),
		"a character that cannot be":    strings.ReplaceAll(string(text), secret, secret+`\u0000`),
		"a wrong escape":                strings.ReplaceAll(string(text), secret, secret+`\q`),
		"more than it may be":           strings.ReplaceAll(string(text), secret, strings.Repeat(secret, 1<<12)),
		"in the place of another field": strings.Replace(string(text), `"mutation"`, `"mutation": {"async": `+quoted+`}, "other"`, 1),
		"a mask that names it":          `{"update_mask": "` + secret + `", ` + string(text[1:]),
	}
	for _, name := range slices.Sorted(maps.Keys(bodies)) {
		if bodies[name] == string(text) {
			continue // it has no such place
		}
		status, raw := h.caller.send(t, m.Procedure, "application/json", []byte(bodies[name]))
		failure := &wireError{status: status}
		if err := json.Unmarshal(raw, failure); err != nil {
			t.Errorf("%s: the error is not JSON: %q", name, raw)
		}
		if failure.Code != "invalid_argument" && name != "more than it may be" {
			t.Errorf("%s is answered with %s", name, failure)
		}
		h.wantNone(t, "the error of "+name, failure.text(raw))
	}
}
