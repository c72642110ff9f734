package interop

import "postern/handshake"

// A Case is one known client behaviour.
type Case struct {
	// ID identifies the case everywhere: in file names, metrics and documents. It is
	// lower-case words joined by hyphens.
	ID string

	Title   string // one line, without a full stop
	Clients string // the clients known to behave so
	Since   string // a date or a year, as exact as the sources are

	// Status says how well the behaviour is established, not how sure a diagnosis is.
	Status Status

	Sources     []Source // at least one
	Explanation string   // two to five sentences for an operator
	Remedy      Remedy

	// match returns zero, or how likely the transcript shows the case and the evidence.
	match func(*handshake.Transcript) (Confidence, []Observation)

	// weigh, if not nil, changes the result of match by what is known around the handshake.
	weigh func(Context, *handshake.Transcript, Confidence, []Observation) (Confidence, []Observation)
}

// A Source is a report of a case.
type Source struct {
	URL     string `json:"url"`
	Date    string `json:"date,omitempty"` // year, year-month or year-month-day of the report; may be empty
	Summary string `json:"summary"`        // one short sentence
}

// A Remedy says what to do about a case.
type Remedy struct {
	Postern       string // what Postern does, and what its operator can do
	Sender        string // what the sender's administrator can do, addressed to them
	OtherSoftware []Advice
}

// Advice says what to do in one other mail server, library or device.
type Advice struct {
	Software string `json:"software"` // its own name
	Action   string `json:"action"`
}

// A Status says how well a behaviour is established.
type Status uint8

// The statuses.
const (
	// Confirmed: several parties saw it independently, with packet captures, or a fix
	// cured it.
	Confirmed Status = iota
	// Reported: one credible party described it, or several without captures.
	Reported
	// Suspected: it fits what was seen, without proof.
	Suspected
)

// String returns "confirmed", "reported" or "suspected".
func (s Status) String() string {
	switch s {
	case Confirmed:
		return "confirmed"
	case Reported:
		return "reported"
	}
	return "suspected"
}
