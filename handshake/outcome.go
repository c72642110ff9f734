package handshake

// An Outcome is what the end of a handshake tells about how the server should
// order its ticket for this client.
type Outcome uint8

// The outcomes.
const (
	// Inconclusive: it tells nothing about tickets. An alert, a timeout, a reset, an
	// end by the server, and a client that left in good order are among these.
	Inconclusive Outcome = iota

	// Worked: the client used the connection.
	Worked

	// ClosedAfterFlight: the client closed silently after the server's first flight
	// and before its own Finished. A ticket may have been in that flight: see
	// [Transcript.IsEarlyTicket].
	ClosedAfterFlight

	// ClosedAfterTicket: the handshake was complete, and the client closed silently
	// after a ticket, before a MAIL.
	ClosedAfterTicket
)

// String says it in words, as what a client did.
func (o Outcome) String() string {
	switch o {
	case Worked:
		return "got in"
	case ClosedAfterFlight:
		return "closed silently after our flight"
	case ClosedAfterTicket:
		return "closed silently after the ticket"
	}
	return "ended in a way that tells nothing"
}

// Outcome says what t tells. It looks at order and end only, not at who may be to
// blame; package interop does that.
func (t *Transcript) Outcome() Outcome {
	silent := t.End.Kind == EndClosed && t.End.By == Client && !t.has(Client, TypeAlert)
	switch {
	case t.Use == UseMail:
		return Worked
	case silent && t.Completed && t.has(Server, TypeNewSessionTicket):
		return ClosedAfterTicket
	case t.Use == UseData && t.Completed: // a client may speak before its Finished is refused
		return Worked
	case silent && !t.Completed && t.has(Server, TypeFinished) && !t.has(Client, TypeFinished):
		return ClosedAfterFlight
	}
	return Inconclusive
}

func (t *Transcript) has(from Side, kind MessageType) bool {
	for _, m := range t.Messages {
		if m.From == from && m.Type == kind {
			return true
		}
	}
	return false
}
