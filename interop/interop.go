// Package interop knows why senders of mail fail in their TLS handshakes.
//
// A [Case] is one known behaviour of clients: who has it, since when, who saw it, what
// to do, and how to recognise it in a transcript of package handshake. [Diagnose]
// holds a transcript against all of them:
//
//	found, failed := interop.Diagnose(transcript)
//	for _, d := range found {
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

// Diagnose returns the cases that t matches, the most likely first, and whether t
// shows a sender that failed. It failed whenever a case matches; without one, the
// failure is not in the catalogue.
//
// No sender failed when the connection was used, or was closed with close_notify, as
// certificate monitors do; when the client did not start TLS, or spoke another
// protocol, as scanners do; and when the recording ended before the handshake did.
//
// Diagnose accepts any transcript, however damaged.
func Diagnose(t *handshake.Transcript) (found []Diagnosis, failed bool) {
	found = matches(t)
	switch {
	case len(found) > 0:
		return found, true
	case t.Completed, t.End.Kind == handshake.EndOpen, passerBy(t):
		return nil, false
	}
	return nil, true
}

func matches(t *handshake.Transcript) []Diagnosis {
	if t.Use == handshake.UseMail {
		return nil // whatever else happened, the sender delivered
	}
	var found []Diagnosis
	for _, c := range catalogue {
		if confidence, observations := c.match(t); confidence > 0 {
			found = append(found, Diagnosis{c, confidence, observations})
		}
	}
	slices.SortStableFunc(found, func(a, b Diagnosis) int { return cmp.Compare(b.Confidence, a.Confidence) })
	return found
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

// Confidence says how likely a diagnosis is, above 0 and at most 1. It is a judgement,
// not a measured frequency.
type Confidence float64

// The confidence of a match.
const (
	// certain: nothing else known looks like this.
	certain Confidence = 0.95
	// likely: other causes are known, and rarer.
	likely Confidence = 0.7
	// possible: other causes look the same.
	possible Confidence = 0.4
)

// String returns "almost certain", "likely" or "possible".
func (c Confidence) String() string {
	switch {
	case c >= 0.9:
		return "almost certain"
	case c >= 0.6:
		return "likely"
	}
	return "possible"
}
