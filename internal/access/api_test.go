package access_test

import (
	"regexp"
	"slices"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// kinds are what a target may be: what can be claimed, and what is ours.
func kinds(t *testing.T) []string {
	t.Helper()
	rules, err := protovalidate.ResolveFieldRules((&pb.ClaimResourceRequest{}).ProtoReflect().Descriptor().Fields().ByName("kind"))
	if err != nil {
		t.Fatal(err)
	}
	parts := []string{"indexing_job", "indexing_schedule", "evaluation_run"}
	// Claimed as another kind, nobody's to claim, and never known.
	elsewhere := []string{"model_evaluation_metric", "model", "agent_deployment", "database"}
	return slices.Concat(rules.GetString().GetIn(), parts, elsewhere, []string{"team", "operation"})
}

// TestEveryMethodHasAWholeRule walks the API: a rule that is missing or misspelt
// would close its method to everybody, or leave a target unguarded.
func TestEveryMethodHasAWholeRule(t *testing.T) {
	t.Parallel()
	if len(methods.API().All()) < 30 {
		t.Fatalf("only %d methods: the descriptors are not linked", len(methods.API().All()))
	}
	known := kinds(t)
	for _, m := range methods.API().All() {
		t.Run(string(m.Name), func(t *testing.T) {
			if m.Access == nil {
				t.Fatal("has no access rule, so nobody may call it")
			}
			checkAction(t, m)
			checkTargets(t, m, known)
			checkPart(t, m)
			checkReconcile(t, m)
			if m.Batch() {
				checkBatch(t, m)
			}
			// What is revealed is recorded, and nobody may keep it in a cache; streams are never cached.
			if idempotent(t, m) != (reads(m) && !descriptor(t, m).IsStreamingServer()) {
				t.Error("idempotency_level NO_SIDE_EFFECTS is for reads, and for all of them")
			}
			if id := m.Input.Descriptor().Fields().ByName("mutation"); (id != nil) != m.Durable() {
				t.Error("MutationOptions go with every change, with every batch and with nothing else")
			}
		})
	}
}

// checkBatch holds a batch to the rule of the change that it makes many of: whatever that
// refers to is guarded in the batch as well.
func checkBatch(t *testing.T, m *methods.Method) {
	t.Helper()
	of := methods.API().BatchOf(m)
	if of == nil || !of.Change() {
		t.Fatalf("is a batch of %q, which is no change", m.Access.GetBatchOf())
	}
	for _, target := range of.Access.GetTargets()[1:] {
		want := proto.CloneOf(target)
		want.Field = "update." + target.GetField()
		if !slices.ContainsFunc(m.Access.GetTargets(), func(has *pb.Target) bool { return proto.Equal(has, want) }) {
			t.Errorf("lacks the target %v", want)
		}
	}
}

func reads(m *methods.Method) bool {
	return m.Access.GetAction() == pb.Action_ACTION_LIST || m.Access.GetAction() == pb.Action_ACTION_READ
}

func descriptor(t *testing.T, m *methods.Method) protoreflect.MethodDescriptor {
	t.Helper()
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(m.Name)
	if err != nil {
		t.Fatal(err)
	}
	return found.(protoreflect.MethodDescriptor)
}

func idempotent(t *testing.T, m *methods.Method) bool {
	t.Helper()
	return descriptor(t, m).Options().(*descriptorpb.MethodOptions).GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

func checkAction(t *testing.T, m *methods.Method) {
	t.Helper()
	if m.Access.GetAction() == pb.Action_ACTION_UNSPECIFIED {
		t.Error("says no action")
	}
	if (m.Access.GetScope() == pb.Scope_SCOPE_UNSPECIFIED) != (len(m.Access.GetTargets()) > 0) {
		t.Error("access is decided by targets or by a scope: one of them, not both")
	}
	if m.Upstream() && !reads(m) && m.Access.GetAction() != pb.Action_ACTION_REVEAL && !m.Change() {
		t.Error("changes the vendor's state, but does not say how an unknown outcome is settled")
	}
	if reads(m) && m.Change() {
		t.Error("reads, but says how a change is settled")
	}
	if m.Access.GetReturnsSecret() && reads(m) {
		t.Error("hands out a secret, but its action lets viewers and auditors call it")
	}
}

func checkTargets(t *testing.T, m *methods.Method, known []string) {
	t.Helper()
	for _, target := range m.Access.GetTargets() {
		if field := target.GetKindField(); field != "" {
			text(t, m.Input.Descriptor(), field)
			if target.GetKind() != "" {
				t.Errorf("target %s has two kinds", target.GetField())
			}
		}
		for _, kind := range append(target.GetOrKinds(), target.GetKind()) {
			if kind == "" && target.GetKindField() != "" {
				continue
			}
			if !slices.Contains(known, kind) {
				t.Errorf("target %q is of a kind that nobody knows", kind)
			}
		}
		if uuids := target.GetUnless(); uuids != "" {
			text(t, m.Input.Descriptor(), uuids)
		}
		checkCondition(t, m.Input.Descriptor(), target.GetExcept())
		if !target.GetByName() && (target.GetUnless() != "" || target.GetExcept() != nil) {
			t.Errorf("target %s is no name, and what it says always counts", target.GetField())
		}
		if target.GetRole() == pb.Role_ROLE_UNSPECIFIED {
			t.Errorf("target %s takes no role", target.GetField())
		}
		text(t, m.Input.Descriptor(), target.GetField())
	}
	subject := m.Access.GetSubject()
	if subject == nil {
		return
	}
	if subject.GetKind() == "" {
		t.Error("the subject has no kind")
	}
	// No field: neither message tells the uuid of what is created.
	inRequest, inResponse := methods.Resolve(m.Input.Descriptor(), subject.GetField()), methods.Resolve(m.Output.Descriptor(), subject.GetField())
	if subject.GetField() != "" && inRequest == nil && inResponse == nil {
		t.Errorf("the subject's field %q is in neither message", subject.GetField())
	}
}

// checkPart wants a part where a change's path names something that access does not look at.
func checkPart(t *testing.T, m *methods.Method) {
	t.Helper()
	part := m.Access.GetPart()
	// What is taken off an agent is no part of it: the vendor has nothing to do elsewhere.
	known := []string{part.GetField(), "guardrail_uuid", "knowledge_base_uuid", "child_agent_uuid"}
	for _, target := range m.Access.GetTargets() {
		known = append(known, target.GetField())
	}
	for _, parameter := range regexp.MustCompile(`{(\w+)}`).FindAllStringSubmatch(m.Path, -1) {
		if m.Change() && !slices.Contains(known, parameter[1]) {
			t.Errorf("nobody looks whose %s is", parameter[1])
		}
	}
	if part == nil {
		return
	}
	text(t, m.Input.Descriptor(), part.GetField())
	if part.GetAnswer() != "" {
		text(t, m.Output.Descriptor(), part.GetAnswer())
	}
	looks := methods.API().ByName(part.GetMethod())
	if looks == nil || !reads(looks) || looks.Access.GetTargets()[0].GetKind() != m.Access.GetTargets()[0].GetKind() {
		t.Fatalf("part: %q is no method that reads the first target", part.GetMethod())
	}
	text(t, looks.Output.Descriptor(), part.GetItems()+".uuid")
}

// text wants a field of text at a path.
func text(t *testing.T, d protoreflect.MessageDescriptor, path string) {
	t.Helper()
	fd := methods.Resolve(d, path)
	if fd == nil {
		t.Errorf("%s has no field %q", d.Name(), path)
	} else if fd.Kind() != protoreflect.StringKind {
		t.Errorf("%s.%s is no text", d.Name(), path)
	}
}

func checkReconcile(t *testing.T, m *methods.Method) {
	t.Helper()
	find := m.Access.GetFind()
	strategy := m.Access.GetReconcile()
	needsFind := strategy == pb.Reconcile_RECONCILE_FIND_BY_TAG || strategy == pb.Reconcile_RECONCILE_FIND_IN_LIST
	if needsFind != (find != nil) {
		t.Fatalf("strategy %s, find given: %v", strategy, find != nil)
	}
	if find == nil {
		return
	}
	looks := methods.API().ByName(find.GetMethod())
	if looks == nil {
		t.Fatalf("find: there is no method %q", find.GetMethod())
	}
	if !reads(looks) {
		t.Errorf("find: %s does not only read", looks.Name)
	}
	for _, b := range find.GetWith() {
		same(t, looks.Input.Descriptor(), b.GetTo(), m.Input.Descriptor(), b.GetFrom())
	}
	items := methods.Resolve(looks.Output.Descriptor(), find.GetItems())
	if items == nil || items.Message() == nil {
		t.Fatalf("find: %s has no messages at %q", looks.Output.Descriptor().Name(), find.GetItems())
	}
	for _, b := range find.GetMatch() {
		same(t, items.Message(), b.GetTo(), m.Input.Descriptor(), b.GetFrom())
	}
	if created := find.GetCreated(); created != "" {
		fd := methods.Resolve(items.Message(), created)
		if fd == nil || fd.Message() == nil || fd.Message().FullName() != "google.protobuf.Timestamp" {
			t.Errorf("find: %s.%s is no time", items.Message().Name(), created)
		}
	}
	for _, b := range find.GetAnswer() {
		if methods.Resolve(m.Output.Descriptor(), b.GetTo()) == nil {
			t.Errorf("find: %s has no field %q", m.Output.Descriptor().Name(), b.GetTo())
		}
		if b.GetFrom() != "" && methods.Resolve(items.Message(), b.GetFrom()) == nil {
			t.Errorf("find: %s has no field %q", items.Message().Name(), b.GetFrom())
		}
	}
	if id := find.GetId(); id != "" {
		text(t, items.Message(), id)
	}
	for _, condition := range find.GetWhere() {
		checkCondition(t, items.Message(), condition)
	}
	for _, refusal := range m.Access.GetRefusal() {
		if methods.Resolve(m.Output.Descriptor(), refusal.GetField()) == nil {
			t.Errorf("%s has no field %q", m.Output.Descriptor().Name(), refusal.GetField())
		}
	}
	if find.GetThen() == "" {
		return
	}
	then := methods.API().ByName(find.GetThen())
	if then == nil {
		t.Fatalf("find: there is no method %q", find.GetThen())
	}
	for _, b := range find.GetThenWith() {
		same(t, then.Input.Descriptor(), b.GetTo(), items.Message(), b.GetFrom())
	}
}

// checkCondition wants an enum with the values that a condition names.
func checkCondition(t *testing.T, d protoreflect.MessageDescriptor, condition *pb.Condition) {
	t.Helper()
	fd := methods.Resolve(d, condition.GetField())
	for _, value := range condition.GetValues() {
		if fd == nil || fd.Enum() == nil || fd.Enum().Values().ByName(protoreflect.Name(value)) == nil {
			t.Errorf("%s.%s cannot be %s", d.Name(), condition.GetField(), value)
		}
	}
}

// same wants fields at both paths, of one kind.
func same(t *testing.T, to protoreflect.MessageDescriptor, toPath string, from protoreflect.MessageDescriptor, fromPath string) {
	t.Helper()
	a, b := methods.Resolve(to, toPath), methods.Resolve(from, fromPath)
	switch {
	case a == nil:
		t.Errorf("find: %s has no field %q", to.Name(), toPath)
	case b == nil:
		t.Errorf("find: %s has no field %q", from.Name(), fromPath)
	case a.Kind() != b.Kind():
		t.Errorf("find: %s.%s and %s.%s are of different kinds", to.Name(), toPath, from.Name(), fromPath)
	}
}

// TestRequestsCanBeValidated compiles the limits of every message, which otherwise
// happens at its first call.
func TestRequestsCanBeValidated(t *testing.T) {
	t.Parallel()
	var all []proto.Message
	for _, m := range methods.API().All() {
		all = append(all, m.Input.New().Interface())
	}
	if _, err := protovalidate.New(protovalidate.WithMessages(all...), protovalidate.WithDisableLazy()); err != nil {
		t.Error(err)
	}
}

// TestFieldsThatClearOthers walks the requests' own options.
func TestFieldsThatClearOthers(t *testing.T) {
	t.Parallel()
	for _, m := range methods.API().All() {
		fields := m.Input.Descriptor().Fields()
		for i := range fields.Len() {
			name := methods.ClearWith(fields.Get(i))
			if name == "" {
				continue
			}
			if by := fields.ByName(protoreflect.Name(name)); by == nil || by.Kind() != protoreflect.BoolKind {
				t.Errorf("%s: cleared with %q, which is no field that says yes or no", fields.Get(i).FullName(), name)
			}
		}
	}
}
