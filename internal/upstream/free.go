package upstream

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// The tags of Google's own messages, a byte each: a field's number times eight, plus
// how it is written.
const (
	timeSeconds = 1<<3 | uint64(protowire.VarintType)
	timeNanos   = 2<<3 | uint64(protowire.VarintType)

	structFields = 1<<3 | uint64(protowire.BytesType)
	entryKey     = 1<<3 | uint64(protowire.BytesType)
	entryValue   = 2<<3 | uint64(protowire.BytesType)
	listValues   = 1<<3 | uint64(protowire.BytesType)

	valueNull   = 1<<3 | uint64(protowire.VarintType)
	valueNumber = 2<<3 | uint64(protowire.Fixed64Type)
	valueString = 3<<3 | uint64(protowire.BytesType)
	valueBool   = 4<<3 | uint64(protowire.VarintType)
	valueStruct = 5<<3 | uint64(protowire.BytesType)
	valueList   = 6<<3 | uint64(protowire.BytesType)
)

// free reads a field of free-form JSON.
func (d *decoder) free(f *field, keep *extras) error {
	first := d.next()
	switch {
	case f.form == formObject && first != '{':
		return d.wrong(f, "an object", keep)
	case f.form == formList && first != '[':
		return d.wrong(f, "a list", keep)
	}
	mark := d.begin(f.tag)
	var err error
	switch f.form {
	case formObject:
		err = d.freeObject(false)
	case formList:
		err = d.freeList(false)
	default:
		err = d.freeValue(false)
	}
	d.end(mark)
	return err
}

// freeValue writes any JSON as a google.protobuf.Value; redact says that what stands
// under a name that looks like a secret's is left out.
func (d *decoder) freeValue(redact bool) error {
	switch d.next() {
	case '{':
		mark := d.begin(valueStruct)
		err := d.freeObject(redact)
		d.end(mark)
		return err
	case '[':
		mark := d.begin(valueList)
		err := d.freeList(redact)
		d.end(mark)
		return err
	case '"':
		text, err := d.text()
		d.out = protowire.AppendBytes(append(d.out, byte(valueString)), text)
		return err
	case 't':
		d.varint(valueBool, 1)
		return d.word("true")
	case 'f':
		d.varint(valueBool, 0)
		return d.word("false")
	case 'n':
		d.varint(valueNull, 0)
		return d.word("null")
	default:
		digits, err := d.number()
		d.freeNumber(string(digits))
		return err
	}
}

func (d *decoder) freeString(text string) {
	d.out = protowire.AppendString(append(d.out, byte(valueString)), text)
}

// freeNumber writes a float64. An integer that would be rounded, and what is too large
// for one, is kept as a string of its digits.
func (d *decoder) freeNumber(digits string) {
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.Abs(f) >= exact && !strings.ContainsAny(digits, ".eE") {
		d.freeString(digits)
		return
	}
	d.out = binary.LittleEndian.AppendUint64(append(d.out, byte(valueNumber)), math.Float64bits(f))
}

// freeObject writes the content of a google.protobuf.Struct.
func (d *decoder) freeObject(redact bool) error {
	if err := d.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		name, more, err := d.member(first)
		if err != nil || !more {
			return err
		}
		entry, value := d.beginEntry(string(name))
		if redact && looksSecret(string(name)) {
			d.freeString(redactedText)
			_, err = d.skip()
		} else {
			err = d.freeValue(redact)
		}
		if err != nil {
			return err
		}
		d.end(value)
		d.end(entry)
	}
}

// beginEntry opens an entry of a google.protobuf.Struct and the value in it.
func (d *decoder) beginEntry(name string) (entry, value int) {
	entry = d.begin(structFields)
	d.out = protowire.AppendString(protowire.AppendVarint(d.out, entryKey), name)
	return entry, d.begin(entryValue)
}

// freeList writes the content of a google.protobuf.ListValue.
func (d *decoder) freeList(redact bool) error {
	if err := d.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := d.item(first)
		if err != nil || !more {
			return err
		}
		mark := d.begin(listValues)
		if err := d.freeValue(redact); err != nil {
			return err
		}
		d.end(mark)
	}
}
