// Package interop knows why senders of mail fail in their TLS handshakes.
//
// A [Case] is one known behaviour of clients: who has it, since when, who saw it, what
// to do, and how to recognise it in a transcript of package handshake. [Diagnose]
// holds a transcript against all of them:
//
//	for _, d := range interop.Diagnose(transcript) {
//		fmt.Println(d.Case.ID, d.Confidence, d.Case.Title)
//	}
//
// # Limits
//
// A recogniser sees what the receiving side sees of one connection: order, sizes and
// times, and the clear parts. Two clients may fail alike for different reasons; then
// the confidence says so. No diagnosis is a claim about a vendor: it says that this
// handshake looks like those that the sources tell of.
//
// # Concurrency
//
// All functions are safe for concurrent use, as long as nobody changes the
// transcripts meanwhile.
package interop

import (
	"cmp"
	"slices"

	"postern/handshake"
)

//go:generate go run ../internal/casedocs testdata/transcripts ../docs/cases

// A Diagnosis is a case that a transcript looks like.
type Diagnosis struct {
	Case         *Case
	Confidence   Confidence
	Observations []Observation // what led to it, never empty
}

// An Observation is one thing seen in a transcript, for people.
type Observation struct {
	Text string

	// Message is the index of what it was seen at in the transcript's Messages;
	// -1: it is seen at the transcript as a whole.
	Message int
}

// Diagnose returns the cases that t looks like, the best first. It is empty when
// nothing is wrong, and when what is wrong is not known: [Failed] tells which.
//
// Transcripts may come from anywhere, so nothing is taken for granted about them.
func Diagnose(t *handshake.Transcript) []Diagnosis {
	if t.Use == handshake.Mailed {
		return nil // whatever else happened, the sender got in
	}
	var found []Diagnosis
	for _, c := range catalogue {
		if confidence, observations := c.recognise(t); confidence > 0 {
			found = append(found, Diagnosis{c, confidence, observations})
		}
	}
	slices.SortStableFunc(found, func(a, b Diagnosis) int { return cmp.Compare(b.Confidence, a.Confidence) })
	return found
}

// Cases returns the catalogue, in the order of the documentation. The cases are
// shared: they must not be changed.
func Cases() []*Case { return slices.Clone(catalogue) }

// Find returns the case with the given ID.
func Find(id string) (*Case, bool) {
	i := slices.IndexFunc(catalogue, func(c *Case) bool { return c.ID == id })
	if i < 0 {
		return nil, false
	}
	return catalogue[i], true
}
