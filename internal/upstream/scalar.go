package upstream

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// exact is the first integer that a float64 may have rounded.
const exact = 1 << 53

func (d *decoder) varint(tag, value uint64) {
	d.out = protowire.AppendVarint(protowire.AppendVarint(d.out, tag), value)
}

func (d *decoder) boolean(f *field, keep *extras) error {
	switch d.next() {
	case 't':
		d.varint(f.tag, 1)
		return d.word("true")
	case 'f':
		d.varint(f.tag, 0)
		return d.word("false")
	default:
		return d.wrong(f, "true or false", keep)
	}
}

func (d *decoder) characters(f *field, keep *extras) error {
	if d.next() != '"' {
		return d.wrong(f, "a string", keep)
	}
	text, err := d.text()
	d.out = protowire.AppendBytes(protowire.AppendVarint(d.out, f.tag), text)
	return err
}

// enum takes a value's name or number; an empty name is absent.
func (d *decoder) enum(f *field, keep *extras) error {
	first := d.next()
	start := d.pos
	var number protoreflect.EnumNumber
	var known bool
	switch {
	case first == '"':
		name, err := d.text()
		if err != nil || len(name) == 0 {
			return err
		}
		number, known = f.enum[string(name)]
	case isNumeric(first):
		digits, err := d.number()
		if err != nil {
			return err
		}
		n, ok := integer(string(digits), 32)
		if !ok {
			d.misfit(f, digits, "is a number where an enum value belongs", keep)
			return nil
		}
		number = protoreflect.EnumNumber(n)
		known = slices.Contains(slices.Collect(maps.Values(f.enum)), number)
	default:
		return d.wrong(f, "an enum value", keep)
	}
	if !known {
		d.note(driftValue, "")
		d.keep(keep, d.src[start:d.pos], false)
		return nil
	}
	d.varint(f.tag, uint64(number))
	return nil
}

// time takes RFC 3339 times and dates; an empty string is absent.
func (d *decoder) time(f *field, keep *extras) error {
	if d.next() != '"' {
		return d.wrong(f, "a time", keep)
	}
	start := d.pos
	text, err := d.text()
	if err != nil || len(text) == 0 {
		return err
	}
	t, ok := moment(string(text))
	if !ok {
		d.misfit(f, d.src[start:d.pos], "is no RFC 3339 time", keep)
		return nil
	}
	mark := d.begin(f.tag)
	d.varint(timeSeconds, uint64(t.Unix()))
	d.varint(timeNanos, uint64(t.Nanosecond()))
	d.end(mark)
	return nil
}

// moment reads what a Timestamp can hold.
func moment(text string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t, err = time.Parse(time.DateOnly, text)
	}
	year := t.UTC().Year()
	return t, err == nil && year >= 1 && year <= 9999
}

// numeric takes a number, or one in a string as the vendor writes its 64-bit integers.
// An empty string is no number yet, and absent.
func (d *decoder) numeric(f *field, keep *extras) error {
	first := d.next()
	start := d.pos
	var digits []byte
	var err error
	switch {
	case isNumeric(first):
		digits, err = d.number()
	case first == '"':
		digits, err = d.text()
	default:
		return d.wrong(f, "a number", keep)
	}
	if err != nil || len(digits) == 0 {
		return err
	}
	problem := "is a string where a number belongs"
	if first != '"' || isNumber(digits) {
		problem = d.writeNumber(f, string(digits))
	}
	if problem != "" {
		d.misfit(f, d.src[start:d.pos], problem, keep)
	}
	return nil
}

// writeNumber answers what is wrong with the number, if it cannot be written.
func (d *decoder) writeNumber(f *field, digits string) (problem string) {
	switch f.form {
	case formInt32, formInt64:
		bits := 32
		if f.form == formInt64 {
			bits = 64
		}
		n, ok := integer(digits, bits)
		if !ok {
			return "is no whole number of " + strconv.Itoa(bits) + " bits"
		}
		d.varint(f.tag, uint64(n))
	case formUint32, formUint64:
		bits := 32
		if f.form == formUint64 {
			bits = 64
		}
		n, ok := natural(digits, bits)
		if !ok {
			return "is no natural number of " + strconv.Itoa(bits) + " bits"
		}
		d.varint(f.tag, n)
	case formFloat:
		n, err := strconv.ParseFloat(digits, 32)
		if err != nil {
			return "is out of range"
		}
		d.out = protowire.AppendFixed32(protowire.AppendVarint(d.out, f.tag), math.Float32bits(float32(n)))
	default: // formDouble
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil {
			return "is out of range"
		}
		d.out = protowire.AppendFixed64(protowire.AppendVarint(d.out, f.tag), math.Float64bits(n))
	}
	return ""
}

// isNumeric tells a number by its first byte.
func isNumeric(first byte) bool { return first == '-' || first-'0' <= 9 }

// isNumber goes by the grammar of JSON numbers, which keeps out NaN, 0x10 and 1_000.
func isNumber(text []byte) bool {
	s := scanner{src: text}
	_, err := s.number()
	return err == nil && s.pos == len(text)
}

func integer(digits string, bits int) (int64, bool) {
	if n, err := strconv.ParseInt(digits, 10, bits); err == nil {
		return n, true
	}
	f, ok := whole(digits)
	if !ok || bits == 32 && (f < math.MinInt32 || f > math.MaxInt32) {
		return 0, false
	}
	return int64(f), true
}

func natural(digits string, bits int) (uint64, bool) {
	if n, err := strconv.ParseUint(digits, 10, bits); err == nil {
		return n, true
	}
	f, ok := whole(digits)
	if !ok || f < 0 || bits == 32 && f > math.MaxUint32 {
		return 0, false
	}
	return uint64(f), true
}

// whole reads integers in the forms 3.0 and 1e3, as far as they are exact.
func whole(digits string) (float64, bool) {
	if !strings.ContainsAny(digits, ".eE") {
		return 0, false
	}
	f, err := strconv.ParseFloat(digits, 64)
	return f, err == nil && f == math.Trunc(f) && math.Abs(f) < exact
}
