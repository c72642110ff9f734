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
	"bytes"
	"cmp"
	"fmt"
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

// NotKnown is what to say of a failure that [Diagnose] finds no case for.
const NotKnown = "not known: this handshake looks like no case of the catalogue. " +
	"Its record can make one: docs/cases/README.md says how to contribute it"

// Examine is [Diagnose] and [Failed] in one, for who wants to know both.
func Examine(t *handshake.Transcript) (diagnoses []Diagnosis, failed bool) {
	diagnoses = Diagnose(t)
	switch {
	case len(diagnoses) > 0:
		return diagnoses, true
	case t.Completed, t.End.How == handshake.Open, passerBy(t):
		return nil, false
	}
	return nil, true
}

// Failed reports whether t shows a sender that did not get in. It is true for every
// transcript that [Diagnose] finds a case for, and for failures that are not known.
//
// It is false where no sender fails: the connection was used, or ended with
// close_notify, as monitors of certificates do; nobody began TLS, or somebody spoke
// another protocol, as scanners do; or the recording ended before the handshake did.
func Failed(t *handshake.Transcript) bool {
	_, failed := Examine(t)
	return failed
}

// passerBy reports whether whoever connected wants no TLS: it sent nothing, a QUIT
// in clear, or a request of HTTP.
func passerBy(t *handshake.Transcript) bool {
	for _, word := range []string{"QUIT", "GET ", "HEAD ", "POST ", "OPTIONS ", "CONNECT "} {
		if bytes.HasPrefix(bytes.ToUpper(t.NotTLS), []byte(word)) {
			return true
		}
	}
	if len(t.NotTLS) > 0 {
		return false
	}
	for _, m := range t.Messages {
		if m.From == handshake.Client {
			return false
		}
	}
	return true
}

// Confidence is how much a transcript looks like a case, above 0 and at most 1. It
// is a judgement, not a measured frequency.
type Confidence float64

// What recognisers give.
const (
	// certain: nothing else that is known looks so.
	certain Confidence = 0.95
	// likely: other causes are known, and rarer.
	likely Confidence = 0.7
	// possible: the shape fits, and so do other causes.
	possible Confidence = 0.4
)

// Word returns the confidence as "certain", "likely" or "possible".
func (c Confidence) Word() string {
	switch {
	case c >= 0.9:
		return "certain"
	case c >= 0.6:
		return "likely"
	}
	return "possible"
}

// String returns the word and the number: "certain 0.95".
func (c Confidence) String() string { return fmt.Sprintf("%s %.2f", c.Word(), float64(c)) }
