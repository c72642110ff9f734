package handshake

import (
	"net/netip"
	"slices"
	"time"
)

// A Transcript is one TLS handshake over TCP as a list of messages: who sent what, when
// and in which write, and how it ended. It holds no secrets and nothing that was sent
// over the finished connection.
type Transcript struct {
	// Start is when the recording began: with the first byte of TLS, or after the
	// server's reply to STARTTLS.
	Start time.Time `json:"start"`

	// View is where the recording was made.
	View View `json:"view"`

	// Client and Server are the addresses of both ends; zero if not known.
	Client netip.AddrPort `json:"client,omitzero"`
	Server netip.AddrPort `json:"server,omitzero"`

	// ClientHello is the client's first ClientHello; nil if none arrived whole.
	ClientHello *ClientHello `json:"client_hello,omitempty"`

	// ServerHello is the server's choice; nil if it sent none.
	ServerHello *ServerHello `json:"server_hello,omitempty"`

	// Messages are the messages of both sides in the order in which they passed the
	// recorder, at most [MaxMessages].
	Messages []Message `json:"messages,omitzero"`

	// Omitted counts the messages beyond MaxMessages.
	Omitted int `json:"omitted,omitempty"`

	// NotTLS holds the first bytes, at most 16, that a side sent where a TLS record
	// was expected and something else came.
	NotTLS []byte `json:"-"`

	// Completed reports that both Finished messages were seen and accepted. A
	// capture does not show acceptance: there it means that the handshake's last
	// message passed and that data or a close followed, not an alert; or, if that
	// message is missing or not recognised, that both sides went on.
	Completed bool `json:"completed"`

	// Use is what the client did with the finished connection.
	Use Use `json:"use"`

	// End is how the connection, or the recording, ended.
	End End `json:"end"`

	// Acknowledged is how much of what the server had sent, since TLS began, the
	// client's TCP had acknowledged when the connection ended. What it has not
	// acknowledged, the client has not seen.
	Acknowledged Acknowledged `json:"acknowledged,omitzero"`

	// Gaps is what a capture lacks of the handshake.
	Gaps Gaps `json:"gaps,omitzero"`
}

// MaxMessages bounds the messages of a transcript. A TLS 1.2 handshake with client
// certificates has about 15; the rest is for unusual peers.
const MaxMessages = 64

// A View is where a handshake was recorded, and so how much the recorder sees.
type View uint8

// The views.
const (
	AtServer View = iota // below a TLS server, which sees encrypted messages by order and size
	AtClient             // below a TLS client
	OnWire               // in a packet capture
)

// A Side is an end of the connection.
type Side uint8

// The sides.
const (
	UnknownSide Side = iota // either, as for a reset seen by neither
	Client
	Server
)

// A Message is a handshake message, an alert, or another record.
type Message struct {
	From Side        `json:"from"`
	Type MessageType `json:"type"`

	// Size is the length of the message in bytes, with its own header of 4 and
	// without the record's. For an encrypted record that could not be opened it is
	// the length that its content must have; with the CBC suites of TLS 1.2, whose
	// padding hides that, the record's length. For an incomplete message it is the
	// length announced.
	Size int `json:"size"`

	// Missing counts the bytes that were announced and never came.
	Missing int `json:"missing,omitempty"`

	// At is when the message's last byte passed, since Start.
	At time.Duration `json:"-"`

	// Write numbers the write, the read or, in a capture, the segment that carried
	// the message's last byte, from 1 over both sides. Messages with the same number
	// shared it. A recorder at one end sees its own side's writes, and the other
	// side's as they were read.
	Write int `json:"write"`

	// Encrypted reports that the message was encrypted.
	Encrypted bool `json:"encrypted,omitempty"`

	// Inferred reports that Type was inferred from order and size, because the
	// recorder had no key.
	Inferred bool `json:"inferred,omitempty"`

	// Alert is the content of an alert, if it could be read.
	Alert *Alert `json:"alert,omitempty"`

	// Ticket describes a NewSessionTicket, if it could be read.
	Ticket *Ticket `json:"ticket,omitempty"`
}

// IsEarlyTicket reports whether the i-th message is a TLS 1.3 session ticket that the
// server sent before the client's Finished. RFC 8446, Section 4.6.1 allows that; not
// every client survives it.
func (t *Transcript) IsEarlyTicket(i int) bool {
	if t.Messages[i].Type != TypeNewSessionTicket || t.ServerHello == nil || !t.ServerHello.Version.isTLS13() || t.Gaps.lacks(Client) {
		return false
	}
	for _, m := range t.Messages[:i] {
		if m.From == Client && m.Type == TypeFinished {
			return false
		}
	}
	return true
}

// Arrived reports whether the i-th message, one of the server's, can have arrived at the
// client before the connection ended. It cannot if the end came first, or if the client's
// TCP did not acknowledge it; of what was acknowledged in part, only the last write is
// taken for missing. That nothing is known about acknowledgements proves nothing: see
// [Transcript.Acknowledged].
func (t *Transcript) Arrived(i int) bool {
	sent := t.Messages[:min(max(t.End.After, 0), len(t.Messages))]
	if i >= len(sent) {
		return false
	}
	switch t.Acknowledged {
	case AckNone:
		return false
	case AckPart:
		return slices.ContainsFunc(sent[i:], func(m Message) bool { return m.From == Server && m.Write != sent[i].Write })
	}
	return true
}

// A MessageType is the type of a [Message].
type MessageType uint8

// The message types. Those of handshake messages have the names of RFC 8446, Section 4
// and RFC 5246, Section 7.4.
const (
	TypeUnknown MessageType = iota // a record of which only the size is known
	TypeClientHello
	TypeHelloRetryRequest
	TypeServerHello
	TypeEncryptedExtensions
	TypeCertificateRequest
	TypeCertificate
	TypeCertificateStatus
	TypeCertificateVerify
	TypeServerKeyExchange
	TypeServerHelloDone
	TypeClientKeyExchange
	TypeFinished
	TypeNewSessionTicket
	TypeEndOfEarlyData
	TypeKeyUpdate
	TypeHelloRequest
	TypeChangeCipherSpec // a record of its own type
	TypeAlert            // a record of its own type
	TypeApplicationData  // a record of its own type; only the first of each side is kept
	TypeNotTLS           // bytes that are not TLS
)

// An Alert is the content of an alert (RFC 8446, Section 6).
type Alert struct {
	Fatal       bool             `json:"fatal"`
	Description AlertDescription `json:"description"`
}

// A Ticket describes a NewSessionTicket.
type Ticket struct {
	Lifetime time.Duration `json:"-"`    // at most seven days (RFC 8446, Section 4.6.1)
	Size     int           `json:"size"` // length of the ticket itself, in bytes
}

// Use is what the client did after the handshake.
type Use uint8

// The uses, in ascending order.
const (
	UseNone Use = iota // the client sent nothing
	UseData            // the client sent data: in SMTP, a command
	UseMail            // the client sent an SMTP MAIL command
)

// An End is how a connection ended.
type End struct {
	Kind EndKind `json:"kind"`

	// By is the side that ended it.
	By Side `json:"by"`

	// After is the number of messages that had passed.
	After int `json:"after"`

	// At is when it ended, or the recording stopped, since Start; zero if not known.
	At time.Duration `json:"-"`

	// Err is the error of the recorder's own TLS library or connection, if any.
	Err string `json:"err,omitempty"`
}

// An EndKind is a way to end a connection.
type EndKind uint8

// The kinds of end.
const (
	EndOpen    EndKind = iota // the connection was open when the recording stopped
	EndClosed                 // closed without an alert other than close_notify
	EndAlert                  // ended with an alert, the last message that is one
	EndReset                  // ended by a TCP reset
	EndTimeout                // nothing came in time; End.By is the side that was to send
	EndDropped                // closed by the server on its own decision, without an alert
)

// Acknowledged is how much of a side's data the other side's TCP has acknowledged. Behind a
// load balancer that is the balancer's TCP, which says nothing about the client.
type Acknowledged uint8

// How much was acknowledged.
const (
	AckUnknown Acknowledged = iota // not known
	AckNone                        // nothing
	AckPart                        // the beginning, not all
	AckAll                         // everything
)
