package handshake

import (
	"net/netip"
	"time"
)

// A Transcript is one TLS handshake over TCP as a list of messages: what was said,
// by whom, when, in which write, and how it ended. It holds no secret and nothing of
// what was sent over the finished connection.
//
// A Transcript is a value to be read; it is not safe to change it while others do.
type Transcript struct {
	// Start is when the recording began: with the first byte of TLS, or at the
	// server's reply to STARTTLS.
	Start time.Time

	// View says where the recording was made, and so what it can know.
	View View

	// Client and Server are the addresses of both ends; zero where not known.
	Client, Server netip.AddrPort

	// Hello is the client's first ClientHello; nil if none came whole.
	ClientHello *ClientHello

	// Choice is what the server's ServerHello chose; nil if none was sent.
	ServerHello *ServerHello

	// Messages are those of both sides in the order in which they passed the
	// recorder, at most [MaxMessages].
	Messages []Message

	// Omitted counts the messages past MaxMessages.
	Omitted int

	// NotTLS are the first bytes, at most 16, of a side's stream where a record of
	// TLS was to begin and something else came.
	NotTLS []byte

	// Completed reports that both Finished messages were seen and accepted. Where
	// the recorder cannot tell acceptance, as on the wire, it is that the
	// handshake's last message passed and data or a close followed, not an alert.
	Completed bool

	// Use is what the client did with the finished connection.
	Use Use

	// End is how the connection, or the recording, ended.
	End End
}

// MaxMessages bounds a transcript: a TLS 1.2 handshake with client certificates has
// about 15 messages; the rest is room for odd peers.
const MaxMessages = 64

// A View is the place of a recorder.
type View uint8

// The places.
const (
	AtServer View = iota // below a crypto/tls server: what is encrypted is known by order and size
	AtClient             // below a TLS client
	OnWire               // a packet capture
)

// A Side is an end of the connection.
type Side uint8

// The sides. Nobody is for an end that cannot be laid to either.
const (
	UnknownSide Side = iota
	Client
	Server
)

// A Message is a handshake message, an alert, or a record of another type.
type Message struct {
	From Side
	Type MessageType

	// Size is the message's bytes with its own header of 4 bytes, without that of
	// the record. Of an encrypted record that could not be opened it is what the
	// record's content must have; with the CBC suites of TLS 1.2, whose padding
	// hides it, the record's length. Of an incomplete message it is what was
	// announced.
	Size int

	// Missing counts bytes that were announced and never came.
	Missing int

	// At is when the message's last byte passed, since Start.
	At time.Duration

	// Write numbers the write, the read or in a capture the segment that carried
	// the message's last byte, counted from 1 over both sides. Messages of the same
	// number shared it. A recorder at one end sees its own side's writes, and of the
	// other side's how they were read.
	Write int

	// Encrypted reports that the message was under a key; Inferred, that its type
	// was told by order and size, since the recorder had no key.
	Encrypted, Inferred bool

	// Alert is the alert's level and description, where Type is [TypeAlert] and it was
	// in the clear or opened.
	Alert *Alert

	// Ticket is what a NewSessionTicket says, where it was in the clear or opened.
	Ticket *Ticket
}

// Early reports whether m is a TLS 1.3 session ticket that the server sent before
// the client's Finished, as messages, of which m is the i-th, tell.
// RFC 8446, Section 4.6.1 allows that; not every client survives it.
func (t *Transcript) IsEarlyTicket(i int) bool {
	if t.Messages[i].Type != TypeNewSessionTicket || t.ServerHello == nil || t.ServerHello.Version != VersionTLS13 {
		return false
	}
	for _, m := range t.Messages[:i] {
		if m.From == Client && m.Type == TypeFinished {
			return false
		}
	}
	return true
}

// VersionTLS13 is the number of TLS 1.3 on the wire (RFC 8446, Section 4.2.1).
const VersionTLS13 = 0x0304

// A Ticket is the clear content of a NewSessionTicket.
type Ticket struct {
	Lifetime time.Duration // RFC 8446, Section 4.6.1: seven days at most
	Size     int           // bytes of the ticket itself
}

// Use is what the client did after the handshake.
type Use uint8

// The uses, each more than the one before.
const (
	UseNone Use = iota // nothing came
	UseData            // data came: in SMTP, a command
	UseMail            // an SMTP MAIL came
)

// An End is how a connection ended.
type End struct {
	Kind EndKind

	// By is who ended it.
	By Side

	// After is the number of messages that had passed.
	After int

	// Err is what the recorder's own TLS library or connection said of it; empty
	// where it said nothing.
	Err string
}

// How a connection ended.
type EndKind uint8

// The ways.
const (
	EndOpen    EndKind = iota // it had not ended when the recording did
	EndClosed                 // silently: the stream ended without an alert, close_notify aside
	EndAlert                  // with an alert; it is the last message that is one
	EndReset                  // by a TCP reset
	EndTimeout                // nothing came for as long as was waited; By is who was to speak
	EndDropped                // by the server's own decision, without a word of TLS
)

// A Type is what a [Message] is.
type MessageType uint8

// The types. Those of handshake messages are named as in RFC 8446, Section 4 and
// RFC 5246, Section 7.4.
const (
	TypeUnknown MessageType = iota // a record that nothing is known of but its size
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
	TypeNotTLS           // what is no TLS record
)

// An AlertText is the content of an alert (RFC 8446, Section 6).
type Alert struct {
	Fatal       bool
	Description uint8
}
