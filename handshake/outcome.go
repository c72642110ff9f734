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
	// after a ticket, which can have arrived, before its first command.
	ClosedAfterTicket

	// ClosedAfterReply: the same after its first command. The client may have taken the
	// ticket for an error when it read the reply; monitors leave so too.
	ClosedAfterReply
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
	case ClosedAfterReply:
		return "closed silently after the ticket and its first command"
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
	case silent && t.Completed && t.arrived(TypeNewSessionTicket) && t.Use == UseData:
		return ClosedAfterReply
	case silent && t.Completed && t.arrived(TypeNewSessionTicket):
		return ClosedAfterTicket
	case silent && t.Completed:
		return Inconclusive // a sender goes on after its first command, or says QUIT
	case t.Use == UseData && t.Completed: // a client may send data before its Finished is rejected
		return Worked
	case silent && !t.Completed && t.sentFlight() && !t.has(Client, TypeFinished) && !t.has(Client, TypeClientKeyExchange):
		return ClosedAfterFlight
	}
	return Inconclusive
}

// sentFlight reports whether the server's first flight can have arrived. In TLS 1.3 and in a
// resumed handshake it ends with Finished, in TLS 1.2 with ServerHelloDone.
func (t *Transcript) sentFlight() bool {
	return t.arrived(TypeFinished) || t.arrived(TypeServerHelloDone)
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
