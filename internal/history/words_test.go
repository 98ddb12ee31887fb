package history

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// told writes pieces as people would: [-removed-] and {+added+}.
func told(pieces []*pb.WordsChange) string {
	var text strings.Builder
	for _, p := range pieces {
		switch p.GetKind() {
		case pb.WordsChange_KIND_REMOVED:
			text.WriteString("[-" + p.GetText() + "-]")
		case pb.WordsChange_KIND_ADDED:
			text.WriteString("{+" + p.GetText() + "+}")
		default:
			text.WriteString(p.GetText())
		}
	}
	return text.String()
}

func TestWordsAreComparedAsPeopleWould(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ before, after, want string }{
		"one word in the middle": {"Explain refunds to customers.", "Explain chargebacks to customers.", "Explain [-refunds -]{+chargebacks +}to customers."},
		"words at the end":       {"Be kind. ", "Be kind. Be brief.", "Be kind. {+Be brief.+}"},
		"words at the beginning": {"Be brief.", "Please. Be brief.", "{+Please. +}Be brief."},
		"all of it":              {"one", "two", "[-one-]{+two+}"},
		"nothing before":         {"", "two words", "{+two words+}"},
		"two places":             {"a b c d e", "a x c d y", "a [-b -]{+x +}c d [-e-]{+y+}"},
		"moved":                  {"a b c ", "c a b ", "{+c +}a b [-c -]"},
		"the same":               {"as it was", "as it was", "as it was"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, told(compareWords(tc.before, tc.after))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWordsMakeBothTexts holds for any two texts, those that are too different included.
func TestWordsMakeBothTexts(t *testing.T) {
	t.Parallel()
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a ", "b ", "c\n", "é", " ", "dd  "}), 0, 60).Draw(t, "words"), "")
	})
	rapid.Check(t, func(t *rapid.T) {
		requireBoth(t, text.Draw(t, "before"), text.Draw(t, "after"))
	})
	var long, other strings.Builder
	for range 5000 {
		long.WriteString("left ")
		other.WriteString("right ")
	}
	requireBoth(t, "same "+long.String(), "same "+other.String()+"end")
}

func requireBoth(t interface {
	Fatalf(format string, args ...any)
}, before, after string) {
	var a, b strings.Builder
	for _, p := range compareWords(before, after) {
		if p.GetKind() != pb.WordsChange_KIND_ADDED {
			a.WriteString(p.GetText())
		}
		if p.GetKind() != pb.WordsChange_KIND_REMOVED {
			b.WriteString(p.GetText())
		}
	}
	if a.String() != before || b.String() != after {
		t.Fatalf("%q and %q came out as %q and %q", before, after, a.String(), b.String())
	}
}
