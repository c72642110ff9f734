// Package interop diagnoses why mail senders fail in the TLS handshake.
//
// Servers log "EOF" or an alert; the cause is often a known behaviour of one TLS library
// or mail program. The package has a catalogue of such cases: which clients behave so and
// since when, with sources and remedies. [Diagnose] compares a transcript of package
// handshake with all of them:
//
//	diagnoses, failed := interop.Diagnose(transcript)
//	for _, d := range diagnoses {
//		fmt.Println(d.Case.ID, d.Confidence, d.Case.Title)
//	}
//
// # Limits
//
// A diagnosis uses what the receiving side sees of a connection: order, sizes and times of
// messages, and those parts that are not encrypted. Two clients may fail alike for different
// reasons. Then the diagnoses are alternatives, and their confidence says how they compare;
// a [Context] with other handshakes of the sender tells them apart. A diagnosis is no claim about a
// vendor: it says that a handshake looks like those that the sources describe.
//
// # Compatibility
//
// The IDs of cases are stable. Their texts, the cases that a transcript matches and their
// confidence may change with each release.
//
// # Concurrency
//
// All functions are safe for concurrent use, unless a transcript is changed meanwhile.
package interop

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"postern/handshake"
)

//go:generate go run ../internal/casedocs testdata/transcripts ../docs/cases

// A Diagnosis is a case that a transcript matches.
type Diagnosis struct {
	Case         *Case
	Confidence   Confidence
	Observations []Observation // the evidence, never empty
}

// An Observation is one thing seen in a transcript, in words.
type Observation struct {
	Text string `json:"text"`

	// Message is the index of the message concerned in the transcript's Messages, or -1
	// for the transcript as a whole.
	Message int `json:"message"`
}

// Confidence says how likely a diagnosis is, above 0 and at most 1. docs/accuracy.md has
// how often a diagnosis with each word is right, over handshakes whose causes are known.
type Confidence float64

// The confidence of most conclusions.
const (
	AlmostCertain Confidence = 0.99 // nothing else known looks like this
	Likely        Confidence = 0.85 // other causes are known, and rarer
	Possible      Confidence = 0.5  // other causes look the same
	LessLikely    Confidence = 0.1  // an alternative to a diagnosis that is likelier
)

// String returns "almost certain", "likely", "possible" or "less likely".
func (c Confidence) String() string {
	switch {
	case c >= 0.9:
		return "almost certain"
	case c >= 0.6:
		return "likely"
	case c >= 0.3:
		return "possible"
	}
	return "less likely"
}

// Diagnose is [Context.Diagnose] where nothing but the transcript is known.
func Diagnose(t *handshake.Transcript) (diagnoses []Diagnosis, failed bool) {
	return Context{}.Diagnose(t)
}

// Diagnose returns the cases that t matches, the most likely first and equally likely ones by
// their IDs, and whether t shows a sender that failed. Those after the first are its
// alternatives. If none matches a failure, its cause is unknown.
//
// A handshake that did not complete has failed, unless the client did not start TLS or spoke
// another protocol, as scanners do, the recording ended before the handshake did, or a
// capture lacks so much of it that it may have completed. One that completed has failed only
// if a case is at least [Likely]: monitors complete handshakes and leave in the same ways as
// some failing senders. Then the cases are what it was if the client was a sender with mail.
// A client that offers HTTP is none.
//
// Diagnose accepts any transcript, even one that no recorder makes.
func (c Context) Diagnose(t *handshake.Transcript) (diagnoses []Diagnosis, failed bool) {
	diagnoses = c.matches(t)
	switch {
	case t.Completed:
		return diagnoses, len(diagnoses) > 0 && diagnoses[0].Confidence >= Likely
	case len(diagnoses) > 0:
		return diagnoses, true
	case t.End.Kind == handshake.EndOpen, t.Undecided(), wantsNoTLS(t):
		return nil, false
	}
	return nil, true
}

func (c Context) matches(t *handshake.Transcript) []Diagnosis {
	if t.Use == handshake.UseMail || t.Undecided() || t.Completed && !t.Gaps.IsZero() {
		return nil // the sender delivered, whatever else happened; or what seems to be absent was not captured
	}
	if t.Completed && isWeb(t) {
		return nil
	}
	var found []Diagnosis
	for _, known := range catalogue {
		confidence, observations := known.match(t)
		if known.weigh != nil {
			confidence, observations = known.weigh(c, t, confidence, observations)
		}
		if confidence > 0 {
			found = append(found, Diagnosis{known, confidence, observations})
		}
	}
	slices.SortFunc(found, func(a, b Diagnosis) int {
		return cmp.Or(cmp.Compare(b.Confidence, a.Confidence), cmp.Compare(a.Case.ID, b.Case.ID))
	})
	return found
}

// isWeb reports whether the client offered HTTP (RFC 7301). Browsers open connections that
// they then do not need.
func isWeb(t *handshake.Transcript) bool {
	return t.ClientHello != nil && slices.ContainsFunc(t.ClientHello.ALPN, func(protocol string) bool {
		return protocol == "h2" || strings.HasPrefix(protocol, "http/")
	})
}

// wantsNoTLS reports whether the client sent nothing, QUIT in plaintext, or an HTTP
// request.
func wantsNoTLS(t *handshake.Transcript) bool {
	for _, word := range []string{"QUIT", "GET ", "HEAD ", "POST ", "OPTIONS ", "CONNECT "} {
		if bytes.HasPrefix(bytes.ToUpper(t.NotTLS), []byte(word)) {
			return true
		}
	}
	sent := func(m handshake.Message) bool { return m.From == handshake.Client }
	return len(t.NotTLS) == 0 && !slices.ContainsFunc(t.Messages, sent)
}
