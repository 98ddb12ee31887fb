package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

const (
	frequentWords = "the model was slow wrong cheap new old budget team asked for shorter answers customers complained about tone tests passed " +
		"rollout of version night shift holiday season legal review found leak typo instruction prompt region moved quota raised lowered"
	vocabularySize = 3000
	// eventsPerTicket is about how many events name the same ticket, of ticketsAtOnce that are worked on at a time.
	eventsPerTicket = 8
	ticketsAtOnce   = 10
	// ticketed is that one reason in so many names a ticket.
	ticketed = 3
)

// vocabulary is what reasons are written with. Words are as frequent as in a natural language: the word of rank r is
// about 1/r as frequent as the first one, by Zipf's law. So one is in every second reason, a hundred are in one of a hundred or
// more, and the rarest in one of several thousand. Tickets, which a third of the reasons name, are in a handful of events each.
type vocabulary struct {
	words  []string
	random *rand.Rand
	zipf   *rand.Zipf
}

func newVocabulary(random *rand.Rand) *vocabulary {
	const skew, offset = 1.05, 1.5 // of words in running text
	v := &vocabulary{words: strings.Fields(frequentWords), random: random, zipf: rand.NewZipf(random, skew, offset, vocabularySize-1)}
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	for n := len(v.words); n < vocabularySize; n++ {
		var word strings.Builder
		for rest := n; rest > 0; rest /= len(consonants) * len(vowels) {
			word.WriteByte(consonants[rest%len(consonants)])
			word.WriteByte(vowels[rest/len(consonants)%len(vowels)])
		}
		v.words = append(v.words, word.String()+"x")
	}
	return v
}

// reason is that of the event of a number.
func (v *vocabulary) reason(n int) string {
	text := v.sentence(3 + v.random.IntN(6))
	if v.random.IntN(ticketed) == 0 {
		text += " " + ticket(n/(ticketed*eventsPerTicket*ticketsAtOnce)*ticketsAtOnce+v.random.IntN(ticketsAtOnce))
	}
	return text
}

func (v *vocabulary) sentence(n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = v.words[v.zipf.Uint64()]
	}
	return strings.Join(words, " ")
}

func ticket(n int) string { return fmt.Sprintf("OPS-%d", n) }

// tickets is how many there are in so many events.
func tickets(events int) int { return max(1, events/(ticketed*eventsPerTicket)) }

// wanted is a word that somebody looks for: as often a frequent one as one ten times or a hundred times rarer.
func (v *vocabulary) wanted(random *rand.Rand) string {
	return v.words[int(math.Pow(float64(len(v.words)), random.Float64()))-1]
}
