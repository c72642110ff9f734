package interop

import (
	"bytes"

	"postern/handshake"
)

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
