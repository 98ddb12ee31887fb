package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access/accesstest"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// cell is one call of the matrix.
type cell struct {
	m   *methods.Method
	who accesstest.Who
	// things are what its targets name, in their order.
	things []accesstest.What
	// about is which of the targets it is about: mostly the first.
	about int
}

// team is whose something is, to who calls: one of the keys of the estates.
func (c cell) team(what accesstest.What) string {
	switch {
	case what == accesstest.Own && c.who == accesstest.FrozenOwner:
		return iced
	case what == accesstest.Own:
		return "payments"
	case what == accesstest.Another:
		return "search"
	case what == accesstest.Missing:
		return ghost
	}
	return ""
}

// shortName is "Service.Method".
func shortName(m *methods.Method) string {
	return strings.TrimPrefix(string(m.Name), methods.Package+".")
}

// linked are the methods of the services as they are linked, by no code of ours.
func linked() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage(methods.Package, func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				all = append(all, service.Methods().Get(j))
			}
		}
		return true
	})
	return all
}

// methods are those that are linked.
func (x *matrix) methods(t *testing.T) []*methods.Method {
	t.Helper()
	var all []*methods.Method
	for _, d := range linked() {
		m := methods.API().ByName(string(d.FullName()))
		if m == nil || m.Access == nil {
			t.Fatalf("%s has no options", d.FullName())
		}
		all = append(all, m)
	}
	return all
}

// cells are the calls of a method as everybody and about everything. What else its requests
// must name is from the same team, or where there is none the caller's own.
func (x *matrix) cells(t *testing.T, m *methods.Method) []cell {
	t.Helper()
	var all []cell
	for _, who := range accesstest.Callers() {
		if len(m.Access.GetTargets()) == 0 {
			all = append(all, cell{m: m, who: who})
			continue
		}
		for _, what := range accesstest.Things() {
			all = append(all, cell{m: m, who: who, things: x.around(t, m, who, what)})
		}
	}
	return all
}

// around are the things of a request whose first is what, with those that it must have besides.
func (x *matrix) around(t *testing.T, m *methods.Method, who accesstest.Who, what accesstest.What) []accesstest.What {
	t.Helper()
	targets := m.Access.GetTargets()
	things := slices.Repeat([]accesstest.What{accesstest.Nothing}, len(targets))
	things[0] = what
	least := x.filled(t, m, x.estate["payments"])
	for i, target := range targets[1:] {
		switch {
		case len(methods.Strings(least, target.GetField())) == 0:
		case what == accesstest.Missing:
			things[i+1] = home(who)
		default:
			things[i+1] = what
		}
	}
	return things
}

// home is what a caller works on when nothing is wrong with it.
func home(who accesstest.Who) accesstest.What {
	if who == accesstest.OtherOwner {
		return accesstest.Another
	}
	return accesstest.Own
}

// furtherCells are those of what a method names besides its first target, which is the
// caller's own. There is nothing of the kinds that nobody can have.
func (x *matrix) furtherCells(t *testing.T, m *methods.Method) []cell {
	t.Helper()
	var all []cell
	for i, target := range m.Access.GetTargets() {
		for _, who := range accesstest.Callers() {
			for _, what := range accesstest.Things() {
				if i == 0 || what != accesstest.Missing && !x.have(t, target) {
					continue
				}
				things := x.around(t, m, who, home(who))
				things[i] = what
				all = append(all, cell{m: m, who: who, things: things, about: i})
			}
		}
	}
	return all
}

// have says whether the estates have something that a target can name. If not it must be of a
// kind that nobody can have.
func (x *matrix) have(t *testing.T, target *pb.Target) bool {
	t.Helper()
	if target.GetKindField() != "" || x.estate["payments"][target.GetKind()] != "" {
		return true
	}
	if slices.Contains(ownable(t), target.GetKind()) {
		t.Errorf("the estates have no %s", target.GetKind())
	}
	return false
}

// want is the reason with which a call must be refused, or Allowed.
func (x *matrix) want(c cell) pb.ErrorReason {
	want := accesstest.Expected(c.m, c.who, c.things...)
	if want == accesstest.Hidden && x.taken(c) {
		return accesstest.Allowed
	}
	return want
}

// taken says that an administrator is taken at their word: they name something of a kind of
// which our copy cannot have everything, and the vendor says whether there is one.
func (x *matrix) taken(c cell) bool {
	if c.who != accesstest.Admin {
		return false
	}
	for i, what := range c.things {
		target := c.m.Access.GetTargets()[i]
		unlisted := slices.ContainsFunc(append(target.GetOrKinds(), target.GetKind()), func(kind string) bool {
			return kind != "team" && kind != "operation" && !slices.Contains(x.listed, kind)
		})
		if what == accesstest.Missing && target.GetKindField() == "" {
			return unlisted
		}
	}
	return false
}
