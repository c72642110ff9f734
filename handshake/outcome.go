package handshake

// An Outcome classifies the end of a handshake by what it says about when to send the
// client its session ticket.
type Outcome uint8

// The outcomes.
const (
	// Inconclusive: the end says nothing about tickets. An alert, a timeout, a reset, an
	// end by the server, and a close with close_notify are among these.
	Inconclusive Outcome = iota

	// Worked: the client used the connection.
	Worked

	// ClosedAfterFlight: the client closed silently after the server's first flight, which
	// can have arrived, and before its own Finished. The flight may have held a ticket:
	// see [Transcript.IsEarlyTicket].
	ClosedAfterFlight

	// ClosedAfterTicket: the handshake was complete, and the client closed silently
	// after a ticket, which can have arrived, before a MAIL command.
	ClosedAfterTicket
)

// String returns what the client did, in words.
func (o Outcome) String() string {
	switch o {
	case Worked:
		return "used the connection"
	case ClosedAfterFlight:
		return "closed silently after our flight"
	case ClosedAfterTicket:
		return "closed silently after the ticket"
	}
	return "ended inconclusively"
}

// Outcome classifies the end of t by the order of messages and the kind of end. It does
// not look for a cause; package interop does.
func (t *Transcript) Outcome() Outcome {
	silent := t.End.Kind == EndClosed && t.End.By == Client && !t.has(Client, TypeAlert)
	switch {
	case t.Use == UseMail:
		return Worked
	case silent && t.Completed && t.arrived(TypeNewSessionTicket):
		return ClosedAfterTicket
	case t.Use == UseData && t.Completed: // a client may send data before its Finished is rejected
		return Worked
	case silent && !t.Completed && t.arrived(TypeFinished) && !t.has(Client, TypeFinished):
		return ClosedAfterFlight
	}
	return Inconclusive
}

// arrived reports whether a message of that type of the server can have arrived.
func (t *Transcript) arrived(messageType MessageType) bool {
	for i, m := range t.Messages {
		if m.From == Server && m.Type == messageType && t.Arrived(i) {
			return true
		}
	}
	return false
}

func (t *Transcript) has(from Side, messageType MessageType) bool {
	for _, m := range t.Messages {
		if m.From == from && m.Type == messageType {
			return true
		}
	}
	return false
}
