package interop

import (
	"crypto/tls"

	"postern/handshake"
)

// whole is the message of an observation about the transcript as a whole.
const whole = -1

// index returns the index of the first message of a type from a side, -1 if there is none.
func index(t *handshake.Transcript, from handshake.Side, messageType handshake.MessageType) int {
	for i, m := range t.Messages {
		if m.From == from && m.Type == messageType {
			return i
		}
	}
	return -1
}

func has(t *handshake.Transcript, from handshake.Side, messageType handshake.MessageType) bool {
	return index(t, from, messageType) >= 0
}

// left reports whether the client left without an alert. If it closes before it has read
// everything, TCP sends a reset, so that counts too.
func left(t *handshake.Transcript) bool {
	gone := t.End.Kind == handshake.EndClosed || t.End.Kind == handshake.EndReset
	return gone && t.End.By == handshake.Client && !closedInOrder(t)
}

// arrived reports whether there is an i-th message and it can have arrived at the client. A
// case about a message of the server needs one that has.
func arrived(t *handshake.Transcript, i int) bool { return i >= 0 && t.Arrived(i) }

// closedInOrder reports whether the client ended a finished connection with close_notify
// (RFC 8446, Section 6.1): it left on purpose and without a complaint about TLS.
func closedInOrder(t *handshake.Transcript) bool {
	return t.Completed && t.End.Kind != handshake.EndAlert && has(t, handshake.Client, handshake.TypeAlert)
}

// leaving is the observation of a client that left.
func leaving(t *handshake.Transcript) Observation {
	if t.End.Kind == handshake.EndReset {
		return Observation{"the client's side reset the connection, without an alert", whole}
	}
	return Observation{"the client closed the connection, without an alert", whole}
}

// alerted returns the description of the alert with which a side ended t, and the index
// of its message.
func alerted(t *handshake.Transcript, by handshake.Side) (description handshake.AlertDescription, message int, ok bool) {
	if t.End.Kind != handshake.EndAlert || t.End.By != by {
		return 0, whole, false
	}
	i := t.End.After - 1
	if i < 0 || i >= len(t.Messages) || t.Messages[i].From != by || t.Messages[i].Type != handshake.TypeAlert {
		return unread, whole, true
	}
	if t.Messages[i].Alert == nil {
		return unread, i, true
	}
	return t.Messages[i].Alert.Description, i, true
}

// complained is alerted for the client, without alerts that are or may be about the
// certificate.
func complained(t *handshake.Transcript) (Observation, bool) {
	description, message, ok := alerted(t, handshake.Client)
	if !ok || description == unread || aboutCertificate(description) {
		return Observation{}, false
	}
	return alert(description, "the client", message), true
}

// endedAfter is the match of a client that ended t after what cause observes: an alert is
// clearer than a silent close.
func endedAfter(t *handshake.Transcript, cause Observation) (Confidence, []Observation) {
	if complaint, ok := complained(t); ok {
		return Likely, []Observation{cause, complaint}
	}
	if left(t) {
		return Possible, []Observation{cause, leaving(t)}
	}
	return 0, nil
}

// tls13Ticket returns the index of the first TLS 1.3 ticket if it has a usual size, -1
// otherwise.
func tls13Ticket(t *handshake.Transcript) int {
	ticket := index(t, handshake.Server, handshake.TypeNewSessionTicket)
	if !arrived(t, ticket) || t.ServerHello == nil || t.ServerHello.Version != tls.VersionTLS13 || t.Messages[ticket].Size > usualTicket {
		return -1
	}
	return ticket
}

// usualTicket bounds a NewSessionTicket that no client is reported to fail on. Without
// client certificates those of crypto/tls have less than 300 bytes, with a certificate
// chain some thousand. Schannel's limit is not published.
const usualTicket = 2048

// unread is the description of an encrypted alert that the recorder could not open. IANA
// has assigned nothing above 121.
const unread handshake.AlertDescription = 255

// Alert descriptions (RFC 8446, Section 6 and RFC 6066, Section 9).
const (
	handshakeFailure     handshake.AlertDescription = 40
	badCertificate       handshake.AlertDescription = 42
	certificateUnknown   handshake.AlertDescription = 46
	unknownCA            handshake.AlertDescription = 48
	protocolVersion      handshake.AlertDescription = 70
	insufficientSecurity handshake.AlertDescription = 71
	internalError        handshake.AlertDescription = 80
	unrecognizedName     handshake.AlertDescription = 112
	badCertificateStatus handshake.AlertDescription = 113
)

// aboutCertificate reports whether an alert rejects a certificate.
func aboutCertificate(description handshake.AlertDescription) bool {
	return badCertificate <= description && description <= certificateUnknown ||
		description == unknownCA || description == badCertificateStatus
}

// alert is the observation of an alert.
func alert(description handshake.AlertDescription, by string, message int) Observation {
	if description == unread {
		return Observation{by + " ended the handshake with an encrypted alert", message}
	}
	return Observation{by + " ended the handshake with the alert " + description.String(), message}
}
