package genaisim

import (
	"crypto/rand"
	"encoding/hex"
	mathrand "math/rand/v2"
)

// Streams keep what is drawn from the seed for one purpose independent of what
// is drawn for another.
const (
	seedStream  = 1
	faultStream = 2
)

// source fills a buffer with random bytes. Seeding draws from the seed, so that
// the seeded agents are always the same. Everything later draws from the
// system: ids must not come again when a simulator is started anew, as clients
// may remember them.
type source func([]byte)

func systemSource(b []byte) {
	_, _ = rand.Read(b) // never fails: it would rather end the process
}

func seededSource(random *mathrand.Rand) source {
	return func(b []byte) {
		for i := range b {
			b[i] = byte(random.Uint32())
		}
	}
}

func (fill source) uuid() string {
	var b [16]byte
	fill(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[:8], b[:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:], b[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// hex returns n random bytes as 2n hexadecimal digits.
func (fill source) hex(n int) string {
	b := make([]byte, n)
	fill(b)
	return hex.EncodeToString(b)
}

func randomUUID() string { return source(systemSource).uuid() }
