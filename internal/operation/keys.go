package operation

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// An operation has an order key and maybe further ones. It runs when none of them is held by
// one that runs or wanted by an older one that waits, and then holds all of them until it ends.

// orderKey is what the changes of a resource are ordered by.
func orderKey(kind string, id uuid.UUID) string { return kind + "/" + id.String() }

// furtherKeys are the order keys of the targets that the change changes as well. Changes of
// these wait for it, and it for them: else, sent again after a lost reply, it would undo
// one that was acknowledged meanwhile.
func (s *submission) furtherKeys() []string {
	keys := []string{}
	for _, target := range s.method.Access.GetTargets() {
		if !target.GetChanged() {
			continue
		}
		for _, text := range methods.Strings(s.request, target.GetField()) {
			if id, err := uuid.Parse(text); err == nil {
				keys = append(keys, orderKey(target.GetKind(), id))
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// newKey orders a creation. What does not exist yet is in nobody's way, unless only its
// name and its time would tell it from another one should the reply be lost: such are made
// one after the other, whoever asks for them, so that nobody is given another's.
func (s *submission) newKey() string {
	match := s.method.Access.GetFind().GetMatch()
	if len(match) == 0 {
		return "new/" + s.id.String()
	}
	sum := sha256.New()
	for _, b := range match {
		fmt.Fprintf(sum, "%q\n", methods.Strings(s.request, b.GetFrom()))
	}
	return fmt.Sprintf("new/%s/%x", s.method.Name, sum.Sum(nil))
}
