package methods_test

import (
	"cmp"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// TestCreationsSayWhatTheyName wants to know of every creation what the new thing is called,
// where its request says so: the operation and the history show it before there is a uuid.
func TestCreationsSayWhatTheyName(t *testing.T) {
	t.Parallel()
	for _, m := range methods.API().All() {
		subject, input := m.Access.GetSubject(), m.Input.Descriptor()
		source := methods.Resolve(input, cmp.Or(subject.GetName(), "name"))
		switch {
		case subject.GetName() != "" && source == nil, source != nil && source.Kind() != protoreflect.StringKind:
			t.Errorf("%s takes the name from %q, which is no text of its request", m.Name, cmp.Or(subject.GetName(), "name"))
		case m.Change() && m.Access.GetAction() == pb.Action_ACTION_CREATE && source == nil:
			for i := range input.Fields().Len() {
				if name := string(input.Fields().Get(i).Name()); strings.HasSuffix(name, "_name") {
					t.Errorf("%s has a %s: say by subject.name whether it is the name", m.Name, name)
				}
			}
		}
	}
}
