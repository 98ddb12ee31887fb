package mirror

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// listMethods are the lists of the vendor's that the API has, by "Service.Method": those of
// mirrored kinds, and the rest.
func listMethods() (mirrored map[string]*methods.Method, others []string) {
	m := &Mirror{api: methods.API(), kinds: kinds()}
	mirrored = map[string]*methods.Method{}
	for _, method := range m.api.All() {
		if !method.Upstream() || method.Access.GetAction() != pb.Action_ACTION_LIST {
			continue
		}
		name := strings.TrimPrefix(string(method.Name), methods.Package+".")
		if m.listing(method) == nil {
			others = append(others, name)
			continue
		}
		mirrored[name] = method
	}
	return mirrored, others
}

// TestNoListIsForgotten names the lists that are not of a mirrored kind.
func TestNoListIsForgotten(t *testing.T) {
	t.Parallel()
	mirrored, others := listMethods()
	want := []string{
		"AgentKeyService.ListAgentApiKeys", "AgentRouteService.ListAgentRoutes", "AgentService.ListAgentVersions",
		"EvaluationService.ListEvaluationRunResults", "IndexingService.ListIndexingJobDataSources", "KnowledgeBaseService.ListDataSources",
	}
	if diff := cmp.Diff(want, others); diff != "" {
		t.Error(diff)
	}
	if len(mirrored) != 26 {
		t.Errorf("%d lists are of mirrored kinds", len(mirrored))
	}
}

// request is that of a list, about what belongs to an estate where it is about something.
func (e *estate) request(m *methods.Method) proto.Message {
	req := m.Input.New().Interface()
	for _, target := range m.Access.GetTargets() {
		set(req, target.GetField(), e.all()[target.GetKind()])
	}
	return req
}

// put sets a field of a message by its name.
func put(m proto.Message, field string, value any) {
	fd := m.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(field))
	if message, ok := value.(proto.Message); ok {
		value = message.ProtoReflect()
	}
	m.ProtoReflect().Set(fd, protoreflect.ValueOf(value))
}

// got is what a list answers over all its pages.
type got struct {
	ids       []uuid.UUID
	names     []string
	pages     int
	freshness *pb.Freshness
}

// walk goes through all pages of a list.
func (w *world) walk(t *testing.T, c identity.Caller, req proto.Message, size int32) got {
	t.Helper()
	method := w.api.ByRequest(req)
	k := w.listing(method)
	var g got
	req = proto.Clone(req)
	put(req, "page_size", size)
	for {
		resp := method.Output.New().Interface()
		if err := w.List(t.Context(), c, req, resp); err != nil {
			t.Fatalf("%s: %v", method.Name, err)
		}
		g.pages++
		items := resp.ProtoReflect().Get(itemsField(k, method)).List()
		for i := range items.Len() {
			id, err := k.identify(items.Get(i).Message().Interface())
			if err != nil {
				t.Fatalf("%s: %v", method.Name, err)
			}
			g.ids = append(g.ids, id)
			g.names = append(g.names, text(items.Get(i).Message().Interface(), k.columns.name))
		}
		if size > 0 && items.Len() > int(size) {
			t.Fatalf("%s: %d items on a page of %d", method.Name, items.Len(), size)
		}
		total, _ := resp.(interface{ GetTotalSize() int32 })
		aged, _ := resp.(interface{ GetFreshness() *pb.Freshness })
		next, _ := resp.(interface{ GetNextPageToken() string })
		g.freshness = aged.GetFreshness()
		if g.freshness.GetSyncedAt() == nil || g.freshness.GetStale() || g.freshness.GetSource() == pb.Freshness_SOURCE_UNSPECIFIED {
			t.Errorf("%s: freshness %v", method.Name, g.freshness)
		}
		if next.GetNextPageToken() == "" {
			if int(total.GetTotalSize()) != len(g.ids) {
				t.Errorf("%s: %d items of %d", method.Name, len(g.ids), total.GetTotalSize())
			}
			return g
		}
		put(req, "page_token", next.GetNextPageToken())
	}
}

func (g got) has(id string, k *kind) bool {
	if k.named {
		return slices.Contains(g.ids, uuid.NewSHA1(uuid.NameSpaceOID, []byte(k.name+"/"+id)))
	}
	return slices.Contains(g.ids, uuid.MustParse(id))
}

// claimKeys gives each team one of the model API keys that there are.
func (w *world) claimKeys() {
	w.t.Helper()
	for id, team := range map[string]string{genaisim.ModelKeyA: "payments", genaisim.ModelKeyB: "search"} {
		if err := w.claim("model_api_key", id, team); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestEveryListShowsWhatItsCallerMaySee(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	mine, theirs := w.estate(w.payments, "pay"), w.estate(w.search, "find")
	w.rounds(1)
	w.claimKeys()
	lists, _ := listMethods()
	for name, method := range lists {
		t.Run(name, func(t *testing.T) {
			k := w.listing(method)
			req := mine.request(method)
			narrowed := narrows(k, method, req)
			own, other := mine.all()[k.name], theirs.all()[k.name]
			if k.name == "model_api_key" {
				own, other = genaisim.ModelKeyA, genaisim.ModelKeyB
			}
			start := w.mark()
			audited, paid, searched := w.walk(t, w.auditor, req, 0), w.walk(t, w.payer, req, 0), w.walk(t, w.searcher, req, 0)
			asked := w.asked(start)[method.Verb+" "+method.Path]
			switch {
			case k.catalogue:
				if len(paid.ids) == 0 || !slices.Equal(paid.ids, audited.ids) || !slices.Equal(searched.ids, audited.ids) {
					t.Errorf("not everybody sees the same: %v, %v, %v", audited.names, paid.names, searched.names)
				}
			case len(method.Access.GetTargets()) > 0:
				if !paid.has(own, k) || searched.has(own, k) || !audited.has(own, k) || len(searched.ids) != 0 {
					t.Errorf("payments sees %v, search %v, an auditor %v", paid.names, searched.names, audited.names)
				}
			default:
				if !paid.has(own, k) || paid.has(other, k) || searched.has(own, k) || !searched.has(other, k) || !audited.has(own, k) || !audited.has(other, k) {
					t.Errorf("payments sees %v, search %v, an auditor %v", paid.names, searched.names, audited.names)
				}
			}
			source := fromMirror
			if narrowed {
				source = fromVendor
			}
			if (asked > 0) != narrowed || audited.freshness.GetSource() != source {
				t.Errorf("asked the vendor %d times; freshness %v", asked, audited.freshness)
			}
			w.checkPages(t, req, audited)
			w.checkFilters(t, k, req, audited)
			if method.Input.Descriptor().Fields().ByName("max_staleness") != nil && !narrowed {
				fresh := proto.Clone(req)
				put(fresh, "max_staleness", durationpb.New(0))
				start = w.mark()
				if g := w.walk(t, w.payer, fresh, 0); g.freshness.GetSource() != fromVendor || w.asked(start)[method.Verb+" "+method.Path] == 0 || !slices.Equal(g.ids, paid.ids) {
					t.Errorf("fresh: %v, asked %v", g, w.asked(start))
				}
			}
		})
	}
	if told := w.told(); len(told) > 0 {
		t.Errorf("told: %q", told)
	}
}

// checkPages wants the same of pages of one as of all at once.
func (w *world) checkPages(t *testing.T, req proto.Message, whole got) {
	t.Helper()
	single := w.walk(t, w.auditor, req, 1)
	if !slices.Equal(single.ids, whole.ids) || single.pages != max(1, len(whole.ids)) {
		t.Errorf("by single items: %v in %d pages, want %v", single.names, single.pages, whole.names)
	}
}

// checkFilters narrows and orders by name.
func (w *world) checkFilters(t *testing.T, k *kind, req proto.Message, whole got) {
	t.Helper()
	with := func(field, value string) proto.Message {
		clone := proto.Clone(req)
		put(clone, field, value)
		return clone
	}
	want := 0
	for _, name := range whole.names {
		if name == whole.names[0] {
			want++
		}
	}
	if g := w.walk(t, w.auditor, with("filter", `name = "`+whole.names[0]+`"`), 0); len(g.ids) != want || g.names[0] != whole.names[0] {
		t.Errorf("named %q are %v", whole.names[0], g.names)
	}
	if g := w.walk(t, w.auditor, with("filter", `name = "nobody"`), 0); len(g.ids) != 0 {
		t.Errorf("named nobody are %v", g.names)
	}
	g := w.walk(t, w.auditor, with("order_by", "name desc"), 2)
	slices.Reverse(g.names)
	if !slices.Equal(g.names, whole.names) {
		t.Errorf("by name, backwards: %v, want %v", g.names, whole.names)
	}
	for attribute := range k.attributes {
		w.walk(t, w.auditor, with("filter", attribute+` != "x"`), 0)
	}
	for _, wrong := range []proto.Message{with("filter", `wisdom = "x"`), with("order_by", "wisdom"), with("page_token", "x")} {
		requireReason(t, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, w.List(t.Context(), w.payer, wrong, w.api.ByRequest(req).Output.New().Interface()))
	}
	for _, field := range []string{"page", "per_page", "limit"} {
		if req.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(field)) == nil {
			continue
		}
		wrong := proto.Clone(req)
		put(wrong, field, int32(1))
		requireReason(t, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, w.List(t.Context(), w.payer, wrong, w.api.ByRequest(req).Output.New().Interface()))
	}
}
