package interop

import "postern/handshake"

// A Case is one known client behaviour.
type Case struct {
	// ID is the case's name everywhere: in files, metrics, documents. Lower-case
	// words joined by hyphens.
	ID string

	Title   string // one line, without a full stop
	Clients string // the clients that are known to behave so
	Since   string // a date or a year, as exact as the sources are

	// Status is how sure the behaviour is, not how sure a diagnosis is.
	Status Status

	Sources     []Source // at least one
	Explanation string   // two to five sentences for an operator
	Remedy      Remedy

	// recognise returns zero, or how much a transcript looks like the case and why.
	match func(*handshake.Transcript) (Confidence, []Observation)
}

// A Source is where a case is told of.
type Source struct {
	URL     string
	Date    string // year, year-month or year-month-day of what it says; empty where it has none
	Summary string // one short sentence of ours
}

// A Remedy is what to do about a case.
type Remedy struct {
	Postern       string // what Postern does by itself, and what is left to its operator
	OtherSoftware []Advice
}

// Advice is what to do with one other mail server, library or device.
type Advice struct {
	Software string // as it calls itself
	Action   string
}

// A Status is how sure a behaviour is.
type Status uint8

// The statuses.
const (
	// Confirmed: seen by several parties on their own, with captures, or cured by a fix.
	Confirmed Status = iota
	// Reported: told by one credible party, or by several without captures.
	Reported
	// Suspected: it fits what was seen, and nobody has shown it.
	Suspected
)

// String returns the status in one word.
func (s Status) String() string {
	switch s {
	case Confirmed:
		return "confirmed"
	case Reported:
		return "reported"
	}
	return "suspected"
}
