package interop

import "postern/handshake"

// whole is where an observation points that is about all of a transcript.
const whole = -1

// index returns the index of the first message of a type from a side, -1 if there is none.
func index(t *handshake.Transcript, from handshake.Side, kind handshake.MessageType) int {
	for i, m := range t.Messages {
		if m.From == from && m.Type == kind {
			return i
		}
	}
	return whole
}

func has(t *handshake.Transcript, from handshake.Side, kind handshake.MessageType) bool {
	return index(t, from, kind) >= 0
}

// left reports whether the client went without a word of TLS. A client that closes
// before it has read all makes TCP say a reset, so that counts too.
func left(t *handshake.Transcript) bool {
	gone := t.End.Kind == handshake.EndClosed || t.End.Kind == handshake.EndReset
	return gone && t.End.By == handshake.Client && !saidGoodbye(t)
}

// saidGoodbye reports whether the client ended a finished connection with
// close_notify (RFC 8446, Section 6.1): it left on purpose, its TLS content.
func saidGoodbye(t *handshake.Transcript) bool {
	return t.Completed && t.End.Kind != handshake.EndAlert && has(t, handshake.Client, handshake.TypeAlert)
}

// leaving is the observation of a client that left.
func leaving(t *handshake.Transcript) Observation {
	if t.End.Kind == handshake.EndReset {
		return Observation{"the client's side reset the connection, without an alert", whole}
	}
	return Observation{"the client closed the connection, without an alert", whole}
}

// alerted returns the description of the fatal alert by which a side ended t, and
// its message's index.
func alerted(t *handshake.Transcript, by handshake.Side) (description handshake.AlertDescription, message int, ok bool) {
	if t.End.Kind != handshake.EndAlert || t.End.By != by {
		return 0, whole, false
	}
	for i := len(t.Messages) - 1; i >= 0; i-- {
		if m := t.Messages[i]; m.From == by && m.Type == handshake.TypeAlert {
			if m.Alert == nil {
				return unread, i, true
			}
			return m.Alert.Description, i, true
		}
	}
	return unread, whole, true
}

// complained is alerted of the client, for what is known not to be about the certificate.
func complained(t *handshake.Transcript) (Observation, bool) {
	description, message, ok := alerted(t, handshake.Client)
	if !ok || description == unread || aboutCertificate(description) {
		return Observation{}, false
	}
	return alert(description, "the client", message), true
}

// endedOver is what a recogniser gives when the client ended t after something that
// it minds: an alert speaks for it more than a silent close.
func endedOver(t *handshake.Transcript, minded Observation) (Confidence, []Observation) {
	if complaint, ok := complained(t); ok {
		return likely, []Observation{minded, complaint}
	}
	if left(t) {
		return possible, []Observation{minded, leaving(t)}
	}
	return 0, nil
}

// unread stands for the description of an alert under a key that the recorder had
// not. IANA has assigned nothing above 121.
const unread = 255

// Alert descriptions (RFC 8446, Section 6 and RFC 6066, Section 9).
const (
	handshakeFailure     = 40
	badCertificate       = 42
	certificateUnknown   = 46
	unknownCA            = 48
	protocolVersion      = 70
	insufficientSecurity = 71
	internalError        = 80
	unrecognizedName     = 112
	badCertificateStatus = 113
)

// aboutCertificate reports whether an alert says that a certificate is not accepted.
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
