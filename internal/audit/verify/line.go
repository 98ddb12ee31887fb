package verify

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// kind of a line.
type lineKind int

const (
	sealedLine   lineKind = iota // an event with its place
	unsealedLine                 // an event that has none yet
	otherLine                    // an export's own line, such as its count
	badLine                      // may be taken for an event and is none of ours
)

// line is a line of an export.
type line struct {
	kind  lineKind
	index int64
	event []byte    // within the buffer that was read into; good until the next line
	leaf  tlog.Hash // of the event
}

// Where the time and the id stand in a canonical event: see audit.AppendCanonical.
const (
	idAt, idLen     = len(`{"id":"`), 36
	timeAt, timeLen = idAt + idLen + len(`","recorded_at":"`), len("2006-01-02T15:04:05.000000Z")
	keyLen          = timeLen + idLen
)

// key orders events by time and id, as an export that is not ordered by place is.
type key [keyLen]byte

func (l *line) key() (k key) {
	copy(k[:], l.event[timeAt:timeAt+timeLen])
	copy(k[timeLen:], l.event[idAt:idAt+idLen])
	return k
}

func (l *line) id() string {
	if len(l.event) < idAt+idLen {
		return ""
	}
	return string(l.event[idAt : idAt+idLen])
}

// parse reads a line without its newline. It writes into text: the byte before the event
// becomes the zero with which leaves are hashed, so that nothing is copied.
func parse(text []byte) line {
	rest, ok := bytes.CutPrefix(text, []byte(`{"index":`))
	if !ok {
		return unplaced(text)
	}
	if bytes.HasPrefix(rest, []byte("null,")) {
		return unplaced(text)
	}
	index, digits := int64(0), 0
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		if index > (math.MaxInt64-9)/10 {
			return line{kind: badLine, index: nowhere}
		}
		index = index*10 + int64(rest[digits]-'0')
		digits++
	}
	if digits == 0 || digits > 1 && rest[0] == '0' {
		return line{kind: badLine, index: nowhere}
	}
	event, ok := bytes.CutPrefix(rest[digits:], []byte(`,"event":`))
	if !ok || len(event) < timeAt+timeLen+2 || event[len(event)-1] != '}' || !bytes.HasPrefix(event, []byte(`{"id":"`)) {
		return line{kind: badLine, index: index}
	}
	at := len(text) - len(event)
	text[at-1] = 0
	hashed := text[at-1 : len(text)-1]
	return line{kind: sealedLine, index: index, event: hashed[1:], leaf: sha256.Sum256(hashed)}
}

// unplaced is a line that is no event with its place. It is parsed: what some other reader
// would take for an event with a place must not be passed over for how it is written.
func unplaced(text []byte) line {
	if len(bytes.TrimSpace(text)) == 0 {
		return line{kind: otherLine}
	}
	names, ok := members(text)
	switch {
	case !ok:
		return line{kind: badLine, index: nowhere}
	case slices.Equal(names, []string{"event"}):
		return line{kind: unsealedLine}
	case slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, "event") || strings.EqualFold(name, "index") }):
		return line{kind: badLine, index: nowhere}
	}
	return line{kind: otherLine}
}

// members are the names in a JSON object, in order and as often as they stand there, but for an
// index that is null before all others; false if the text is not one object.
func members(text []byte) (names []string, ok bool) {
	in := json.NewDecoder(bytes.NewReader(text))
	if open, err := in.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	for first := true; in.More(); first = false {
		var value json.RawMessage
		token, err := in.Token()
		name, isText := token.(string)
		if err != nil || !isText || in.Decode(&value) != nil {
			return nil, false
		}
		if !first || name != "index" || string(value) != "null" {
			names = append(names, name)
		}
	}
	if _, err := in.Token(); err != nil {
		return nil, false
	}
	_, err := in.Token()
	return names, errors.Is(err, io.EOF)
}

// lines reads an export line by line.
type lines struct {
	r    *bufio.Reader
	long []byte
}

// bufferSize holds all but the longest lines.
const bufferSize = 1 << 20

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, bufferSize)} }

// next is the next line without its newline, good until the call after; nil at the end.
// A last line without a newline counts.
func (l *lines) next() ([]byte, error) {
	text, err := l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		l.long = append(l.long[:0], text...)
		for errors.Is(err, bufio.ErrBufferFull) {
			text, err = l.r.ReadSlice('\n')
			l.long = append(l.long, text...)
		}
		text = l.long
	}
	if err != nil && (!errors.Is(err, io.EOF) || len(text) == 0) {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, err
	}
	return bytes.TrimSuffix(text, []byte("\n")), nil
}
