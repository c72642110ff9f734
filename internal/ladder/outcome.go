package ladder

// An Outcome is what a handshake's end tells about the rung it was offered.
type Outcome uint8

const (
	// Inconclusive is every end that is none of the others: an alert, a timeout, a reset, a
	// close at any other point. A timeout is the network's, an alert is about something
	// else, and scanners come and go.
	Inconclusive Outcome = iota

	// Used is a handshake that completed, and an SMTP command came after it; where a ticket
	// was sent, after the ticket. On [FirstWrite] that is the second command, since the
	// ticket leaves with the reply to the first.
	Used

	// ClosedAfterFlight is a close without an alert after the server's flight and before
	// the client's Finished.
	ClosedAfterFlight

	// ClosedAfterTicket is a completed handshake and a close without an alert or a command
	// after the ticket.
	ClosedAfterTicket
)

// String returns the words that decisions use.
func (o Outcome) String() string {
	switch o {
	case Used:
		return "got in"
	case ClosedAfterFlight:
		return "closed silently after our flight"
	case ClosedAfterTicket:
		return "closed silently after the ticket"
	default:
		return "ended in a way that tells nothing"
	}
}
