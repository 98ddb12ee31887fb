package upstream

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// decoder turns one answer into one message, in a single pass over the JSON. It
// writes Protobuf's wire form, because what is generated for a message reads that
// much faster than fields can be set one by one.
type decoder struct {
	scanner

	// out is the message as far as it is written.
	out []byte
	// at is the way to the value at hand.
	at place
	// spans are the fields of the messages that are open, innermost last.
	spans []span
	// hidden is in how many secret fields the value at hand is.
	hidden int
	found  findings
}

// findings are what an answer tells beside its message.
type findings struct {
	drift map[drift]*driftCount
	// requestID is the vendor's, where the answer has it and the message has not.
	requestID string
	// misread says that something is absent from the message because its form was wrong.
	misread bool
}

// span is what became of one field of a message that is open.
type span struct {
	seen bool
	// from and to are its place in [decoder.out], kept and keptTo in [extras.kept].
	from, to, kept, keptTo int
}

// maxIdle is how much memory is kept for the next answer.
const maxIdle = 1 << 20

// decode fills resp, whose earlier content is lost, and answers what else there is to
// tell. After an error, which is a [*FormatError], resp is empty. Nothing of body is
// kept.
func (s *shapes) decode(body []byte, resp proto.Message) (findings, error) {
	proto.Reset(resp)
	d, reused := s.idle.Get().(*decoder)
	if !reused {
		d = &decoder{}
	}
	defer s.done(d)
	d.src = body
	if err := d.answer(s.of(resp.ProtoReflect().Descriptor())); err != nil {
		return findings{}, err
	}
	if err := proto.Unmarshal(d.out, resp); err != nil {
		proto.Reset(resp)
		return findings{}, fmt.Errorf("reading what was decoded: %w", err) // a bug
	}
	return d.found, nil
}

// done keeps the decoder's memory for the next answer, and nothing of this one: there
// may be secrets in it.
func (s *shapes) done(d *decoder) {
	clear(d.out)
	clear(d.at[:cap(d.at)])
	if cap(d.out) <= maxIdle {
		s.idle.Put(&decoder{out: d.out[:0], at: d.at[:0], spans: d.spans[:0]})
	}
}

// answer reads all of it.
func (d *decoder) answer(root *shape) error {
	if first := d.next(); first != '{' {
		if _, err := d.skip(); err != nil {
			return err
		}
		return &FormatError{Problem: "the answer is " + kindOf(first) + ", not a JSON object"}
	}
	if err := d.message(root, nil); err != nil {
		return err
	}
	if d.next(); d.pos < len(d.src) {
		return &FormatError{Problem: "something follows the answer's JSON"}
	}
	return nil
}

// message reads an object, at whose bracket it stands. What its shape does not know is
// kept with the nearest message around it that can, which is keep's unless it is this.
func (d *decoder) message(known *shape, keep *extras) error {
	own := known.extra != 0 && d.hidden == 0
	if own {
		keep = &extras{from: len(d.at)}
	}
	base := len(d.spans)
	d.spans = append(d.spans, known.unseen...)
	d.at = append(d.at, step{index: -1})
	if err := d.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		name, more, err := d.member(first)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := d.named(name, known, base, keep); err != nil {
			return err
		}
	}
	d.at = d.at[:len(d.at)-1]
	d.spans = d.spans[:base]
	if own {
		return d.writeExtras(known.extra, keep)
	}
	return nil
}

// named reads the value that follows its name.
func (d *decoder) named(name []byte, known *shape, base int, keep *extras) error {
	f := known.fields[string(name)]
	if f == nil {
		d.at[len(d.at)-1].name = known.shownName(string(name))
		return d.foreign(nil, keep)
	}
	d.at[len(d.at)-1].name = f.name
	if f.local {
		return d.foreign(f, keep)
	}
	return d.known(f, base, keep)
}

// foreign reads a value that is no field of the vendor's: one that we do not know, or
// one of ours, which the vendor cannot set.
func (d *decoder) foreign(f *field, keep *extras) error {
	if d.next() == 'n' {
		return d.word("null") // null is absent
	}
	if f == nil && len(d.at) == 1 && d.at[0].name == "request_id" && d.next() == '"' {
		id, err := d.text()
		d.found.requestID = clip(string(id), maxID)
		return err
	}
	raw, err := d.skip()
	if err != nil {
		return err
	}
	if f != nil {
		d.note(driftReserved, "")
		return nil
	}
	d.note(driftField, "")
	name := d.at[len(d.at)-1].name
	d.keep(keep, raw, name == redactedText || looksSecret(name))
	return nil
}

// known reads a field's value. Of several, the last counts, as if the others had not
// come.
func (d *decoder) known(f *field, base int, keep *extras) error {
	if d.spans[base+f.index].seen {
		d.note(driftTwice, "")
		d.erase(base, f.index, keep)
	}
	now := span{seen: true, from: len(d.out), kept: keep.len()}
	if err := d.value(f, keep); err != nil {
		return err
	}
	now.to, now.keptTo = len(d.out), keep.len()
	d.spans[base+f.index] = now
	return nil
}

// erase takes back what a value of a field of the innermost message left behind.
func (d *decoder) erase(base, index int, keep *extras) {
	old := d.spans[base+index]
	d.out = slices.Delete(d.out, old.from, old.to)
	for i := base; i < len(d.spans); i++ {
		if s := &d.spans[i]; s.from >= old.to {
			s.from -= old.to - old.from
			s.to -= old.to - old.from
		}
	}
	keep.erase(old.kept, old.keptTo)
}

// value reads all that stands in a field's place.
func (d *decoder) value(f *field, keep *extras) error {
	if d.next() == 'n' {
		return d.word("null") // null is absent
	}
	if f.secret {
		d.hidden++
		defer func() { d.hidden-- }()
	}
	if !f.list {
		return d.one(f, keep)
	}
	if d.next() != '[' {
		return d.wrong(f, "a list", keep)
	}
	return d.elements(f, keep)
}

// elements reads a list. An element of the wrong form is left out, like null.
func (d *decoder) elements(f *field, keep *extras) error {
	if err := d.open(); err != nil {
		return err
	}
	last := len(d.at) - 1
	for i := 0; ; i++ {
		more, err := d.item(i == 0)
		if err != nil {
			return err
		}
		if !more {
			d.at[last].index = -1
			return nil
		}
		d.at[last].index = i
		if d.next() == 'n' {
			err = d.word("null")
		} else {
			err = d.one(f, keep)
		}
		if err != nil {
			return err
		}
	}
}

// one reads a value or an element, which is not null.
func (d *decoder) one(f *field, keep *extras) error {
	switch f.form {
	case formMessage:
		if d.next() != '{' {
			return d.wrong(f, "an object", keep)
		}
		mark := d.begin(f.tag)
		if err := d.message(f.shape, keep); err != nil {
			return err
		}
		d.end(mark)
		return nil
	case formBool:
		return d.boolean(f, keep)
	case formString:
		return d.characters(f, keep)
	case formEnum:
		return d.enum(f, keep)
	case formTime:
		return d.time(f, keep)
	case formObject, formList, formAny:
		return d.free(f, keep)
	case formInt32, formInt64, formUint32, formUint64, formFloat, formDouble:
		return d.numeric(f, keep)
	case formUnused:
	}
	return d.wrong(f, "what is not used with the vendor", keep)
}

// begin opens what has its length before it, and end closes it.
func (d *decoder) begin(tag uint64) (mark int) {
	d.out = append(protowire.AppendVarint(d.out, tag), 0)
	return len(d.out)
}

func (d *decoder) end(mark int) {
	length := len(d.out) - mark
	size := protowire.SizeVarint(uint64(length))
	if size > 1 { // begin left room for one byte
		d.out = append(d.out, make([]byte, size-1)...)
		copy(d.out[mark+size-1:], d.out[mark:mark+length])
	}
	protowire.AppendVarint(d.out[:mark-1], uint64(length))
}
