package ledger

import (
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

// An Event is what a [Ledger] can note: a [Handshake], a [Decision] or a [State].
type Event interface {
	// size is what the event takes in the queue, in bytes, near enough.
	size() int

	// write stores the event. It is called by the writer alone.
	write(s *store) error
}

// An Outcome is how a session stood with TLS.
type Outcome int

// The outcomes. The numbers are in the file.
const (
	Full      Outcome = iota + 1 // a full handshake
	Resumed                      // a handshake that resumed a session
	Failed                       // a handshake that did not complete, or whose connection could not be used
	Plaintext                    // mail without TLS
)

// String returns the word for it.
func (o Outcome) String() string {
	switch o {
	case Full:
		return "full"
	case Resumed:
		return "resumed"
	case Failed:
		return "failed"
	case Plaintext:
		return "plaintext"
	}
	return "unknown"
}

// A Handshake is one handshake, or one session that did without, as it is noted and
// as it is read. Only failed ones have what is from Stopped on.
type Handshake struct {
	// ID numbers handshakes in the order in which they were written. It is for
	// [Filter.After]; a person is shown Session. It is not noted.
	ID int64

	Session     string    // the session's id, as in its replies and the log
	At          time.Time // kept to the millisecond
	Address     netip.Addr
	Network     netip.Prefix // the prefix that stands for the sender
	EHLO        string       // what the sender called itself; empty if it did not
	Fingerprint string       // JA4 of the ClientHello; empty if there was none
	Outcome     Outcome
	Rung        string // what the sender was offered

	// What was negotiated, in numbers of the wire; 0 where nothing was.
	Version, Suite, Group uint16

	// Unused says of a handshake that completed that no command came over it: the sender
	// left in good order, as monitors do, and senders that check the certificate then. It is
	// not read one by one: see [Sighting].
	Unused bool

	// After is, in plaintext, the session of the failed handshake that the sender
	// came back from; empty if it had not failed within a week. It is not noted.
	After string

	Stopped   string      // where it stopped, in words
	Next      string      // what is next for the sender, in words
	Diagnoses []Diagnosis // the surest first; none stands for a case not known

	// Transcript is the handshake's JSON. Lists of handshakes leave it out; one that
	// is larger than 256 KiB is not kept.
	Transcript []byte
}

// A Diagnosis is a case that a failed handshake may be.
type Diagnosis struct {
	Case       string
	Confidence float64 // from 0 to 1
}

// A Decision is what the ladder changed for a sender, in the ladder's words.
type Decision struct {
	At          time.Time
	Kind        string
	Network     netip.Prefix // ::/0 stands for the fingerprint as a whole
	Fingerprint string
	From, To    string // rungs
	Why         string
}

// A State is what the ladder remembers of a sender. Of those noted for one network
// and fingerprint the last is kept.
type State struct {
	At          time.Time
	Network     netip.Prefix
	Fingerprint string
	Value       []byte // the ladder's own JSON
}

// Bounds in bytes of what is stored. All but the transcript's are far above what
// honest senders and this program say; Postfix cuts host names at 255 too.
const (
	maxName       = 255 // EHLO names, fingerprints, sessions, rungs, cases
	maxText       = 1024
	maxDiagnoses  = 8
	maxState      = 16 << 10
	maxTranscript = 256 << 10
)

// bounded cuts s to at most limit bytes of valid UTF-8.
func bounded(s string, limit int) string {
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "?")
}

// fixed is about what an event takes beside its text.
const fixed = 256

func (h Handshake) size() int {
	size := fixed + len(h.Session) + len(h.EHLO) + len(h.Fingerprint) + len(h.Stopped) + len(h.Next) + len(h.Transcript)
	for _, d := range h.Diagnoses {
		size += len(d.Case)
	}
	return size
}

func (d Decision) size() int { return fixed + len(d.Fingerprint) + len(d.Why) }

func (s State) size() int { return fixed + len(s.Fingerprint) + len(s.Value) }
