package upstream

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep the vendor's JSON may nest. Agents within workspaces
// within agents reach about ten.
const maxDepth = 200

// FormatError says why an answer cannot be understood at all. It never holds a
// part of the answer: that may be a secret.
type FormatError struct{ Problem string }

func (e *FormatError) Error() string { return e.Problem }

// scanner reads JSON from front to back, value by value, and takes what
// encoding/json takes. What it answers is part of src wherever it can be, so it must be
// copied by whoever keeps it. After an error it is of no further use.
type scanner struct {
	src   []byte
	pos   int
	depth int
}

func (s *scanner) broken() error {
	return &FormatError{Problem: fmt.Sprintf("the answer is not JSON, at byte %d of %d", s.pos, len(s.src))}
}

// next is the first byte of what follows, which tells its kind; 0 at the end.
func (s *scanner) next() byte {
	for ; s.pos < len(s.src); s.pos++ {
		switch c := s.src[s.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// open goes into an object or a list, at whose bracket it stands.
func (s *scanner) open() error {
	s.pos++
	if s.depth++; s.depth > maxDepth {
		return &FormatError{Problem: "the answer nests too deeply"}
	}
	return nil
}

// item goes to the next value of a list; false at its end, which it goes past.
func (s *scanner) item(first bool) (bool, error) { return s.part(first, ']') }

// member goes to the next value of an object and tells its name; false at its end,
// which it goes past.
func (s *scanner) member(first bool) (name []byte, more bool, err error) {
	if more, err = s.part(first, '}'); err != nil || !more {
		return nil, false, err
	}
	if s.next() != '"' {
		return nil, false, s.broken()
	}
	if name, err = s.text(); err != nil {
		return nil, false, err
	}
	if s.next() != ':' {
		return nil, false, s.broken()
	}
	s.pos++
	return name, true, nil
}

func (s *scanner) part(first bool, end byte) (bool, error) {
	switch c := s.next(); {
	case c == end:
		s.pos++
		s.depth--
		return false, nil
	case first:
		return true, nil
	case c == ',':
		s.pos++
		if s.next() == end {
			return false, s.broken()
		}
		return true, nil
	default:
		return false, s.broken()
	}
}

// skip goes past any value, and answers it as it is written.
func (s *scanner) skip() ([]byte, error) {
	var err error
	c := s.next()
	start := s.pos
	switch c {
	case '{', '[':
		err = s.skipParts(c)
	case '"':
		_, _, err = s.quoted()
	case 't':
		err = s.word("true")
	case 'f':
		err = s.word("false")
	case 'n':
		err = s.word("null")
	default:
		_, err = s.number()
	}
	return s.src[start:s.pos], err
}

func (s *scanner) skipParts(bracket byte) error {
	if err := s.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		var more bool
		var err error
		if bracket == '{' {
			_, more, err = s.member(first)
		} else {
			more, err = s.item(first)
		}
		if err != nil || !more {
			return err
		}
		if _, err := s.skip(); err != nil {
			return err
		}
	}
}

// word goes past true, false or null.
func (s *scanner) word(word string) error {
	if !bytes.HasPrefix(s.src[s.pos:], []byte(word)) {
		return s.broken()
	}
	s.pos += len(word)
	return nil
}

// number goes past a number, and answers it as it is written.
func (s *scanner) number() ([]byte, error) {
	start := s.pos
	if s.at('-') {
		s.pos++
	}
	whole := s.pos
	if s.digits() == 0 || s.src[whole] == '0' && s.pos > whole+1 {
		return nil, s.broken()
	}
	if s.at('.') {
		s.pos++
		if s.digits() == 0 {
			return nil, s.broken()
		}
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if s.digits() == 0 {
			return nil, s.broken()
		}
	}
	return s.src[start:s.pos], nil
}

func (s *scanner) at(c byte) bool { return s.pos < len(s.src) && s.src[s.pos] == c }

// digits goes past digits, and answers how many they are.
func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.src) && s.src[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos - start
}

// text goes past a string, and answers what it says: always UTF-8, and without NUL.
//
// NUL is the one character that JSON and Protobuf have and Postgres has not: one of it
// would keep all that it arrived with from being stored. Its place is taken by the
// character for what cannot be shown, and so is that of bytes that are no characters.
func (s *scanner) text() ([]byte, error) {
	inner, plain, err := s.quoted()
	if err != nil || plain {
		return inner, err
	}
	return unescape(inner), nil
}

// quoted goes past a string, and answers what stands between its quotes and whether
// that is its text already.
func (s *scanner) quoted() (inner []byte, plain bool, err error) {
	start := s.pos + 1
	var seen byte // all bytes in one: whether any is above ASCII
	escaped := false
	for i := start; i < len(s.src); i++ {
		c := s.src[i]
		switch {
		case c == '"':
			inner = s.src[start:i]
			s.pos = i + 1
			return inner, !escaped && (seen < utf8.RuneSelf || utf8.Valid(inner)), nil
		case c == '\\':
			escaped = true
			size, ok := escapeSize(s.src[i+1:])
			if !ok {
				s.pos = i
				return nil, false, s.broken()
			}
			i += size
		case c < ' ':
			s.pos = i
			return nil, false, s.broken()
		}
		seen |= c
	}
	s.pos = len(s.src)
	return nil, false, s.broken()
}

// escapeSize is how many bytes of an escape follow its backslash; false if it is none.
func escapeSize(rest []byte) (int, bool) {
	if len(rest) == 0 {
		return 0, false
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1, true
	case 'u':
		_, ok := hex4(rest[1:])
		return 5, ok
	default:
		return 0, false
	}
}

// unescape is the text of a string whose escapes are in order.
func unescape(inner []byte) []byte {
	out := make([]byte, 0, len(inner))
	for {
		plain, escape, escaped := bytes.Cut(inner, []byte{'\\'})
		if utf8.Valid(plain) {
			out = append(out, plain...)
		} else {
			for _, r := range string(plain) {
				out = utf8.AppendRune(out, r) // the replacement for each byte that is no character
			}
		}
		if !escaped {
			return out
		}
		r, size := unescapeOne(escape)
		if r == 0 {
			r = utf8.RuneError
		}
		out = utf8.AppendRune(out, r)
		inner = escape[size:]
	}
}

// unescapeOne is the character of an escape without its backslash, and how many bytes
// of it there are.
func unescapeOne(escape []byte) (r rune, size int) {
	switch escape[0] {
	case 'b':
		return '\b', 1
	case 'f':
		return '\f', 1
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'u':
	default:
		return rune(escape[0]), 1
	}
	r, _ = hex4(escape[1:])
	if !utf16.IsSurrogate(r) {
		return r, 5
	}
	// Half of a character: the other half must follow.
	if rest, found := bytes.CutPrefix(escape[5:], []byte(`\u`)); found {
		second, _ := hex4(rest)
		if whole := utf16.DecodeRune(r, second); whole != utf8.RuneError {
			return whole, 11
		}
	}
	return utf8.RuneError, 5
}

// hex4 reads the four digits of \u.
func hex4(text []byte) (rune, bool) {
	if len(text) < 4 {
		return 0, false
	}
	var r rune
	for i := range 4 {
		c := text[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// kindOf is what a value that begins so is.
func kindOf(first byte) string {
	switch first {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '[':
		return "a list"
	case '{':
		return "an object"
	default:
		return "a number"
	}
}
