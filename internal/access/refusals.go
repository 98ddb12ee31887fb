package access

import (
	"errors"
	"fmt"
	"strings"

	"github.com/agentsvc/agentsvc/internal/fault"
)

// maxRefused is how many refusals of one request are told.
const maxRefused = 20

// refusals are those of several things that one field of a request names, so that its
// caller can mend them at once.
type refusals struct {
	words []string
	// first is a *fault.Error or a *refusal, which wraps one.
	first error
	told  fault.Error
	// recorded is the first that goes into the history.
	recorded *refusal
}

// add notes a refusal. An error that is none is answered: it kept us from deciding.
func (r *refusals) add(err error) error {
	if err == nil {
		return nil
	}
	words, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return err
	}
	if r.first == nil {
		r.first, r.told = err, *words
	}
	if no, ok := errors.AsType[*refusal](err); ok && r.recorded == nil {
		r.recorded = no
	}
	r.words = append(r.words, words.Public)
	return nil
}

// err is the first refusal in the words of all, nil if there is none. One alone is as it is.
func (r *refusals) err() error {
	if len(r.words) < 2 {
		return r.first
	}
	told := r.told
	words := r.words[:min(len(r.words), maxRefused)]
	told.Public = strings.Join(words, "; ")
	if more := len(r.words) - len(words); more > 0 {
		told.Public += fmt.Sprintf("; and %d more", more)
	}
	if r.recorded == nil {
		return &told
	}
	no := *r.recorded
	no.fault = &told
	return &no
}
