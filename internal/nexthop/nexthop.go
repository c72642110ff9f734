// Package nexthop defines the next hop: where an accepted message goes. The kinds are
// in its folders: maildir and relay.
package nexthop

import (
	"crypto/tls"
	"io"
	"net/netip"

	"postern/internal/smtp"
)

// A Hop accepts messages. It is safe for concurrent use.
type Hop interface {
	// Extensions returns the extensions that the hop supports now. It never
	// blocks: a hop that relays to a server returns those of its last
	// conversation.
	Extensions() smtp.Extensions

	// Open begins a session for one sender. It does no I/O.
	Open(Sender) Session
}

// Sender is the client of a session, for hops that pass its address on.
type Sender struct {
	SessionID string // also in replies, the log and the Received field
	Addr      netip.AddrPort
	Local     netip.AddrPort       // the server's address
	Greeting  string               // the argument of EHLO or HELO
	Extended  bool                 // EHLO, not HELO
	TLS       *tls.ConnectionState // nil without TLS
}

// An Answer waits for the reply to a command and returns it. The Answers of a
// session must be called once each, in the order of the commands. So commands that
// a sender pipelines (RFC 2920) can be pipelined to the next hop too.
type Answer func() smtp.Reply

// A Session is one sender's conversation with the hop: any number of messages, one
// after another. It is for one goroutine. All replies are meant for the sender: a
// failure of the hop itself is a 4xx reply. A hop bounds the time of each step.
type Session interface {
	// Mail begins a message.
	Mail(smtp.Mail) Answer

	// Rcpt adds a recipient.
	Rcpt(smtp.Recipient) Answer

	// Data asks whether the text may be sent: 354, or a refusal. It is the last
	// command of a message, and may be called before the replies to the others
	// are known. If the hop has accepted no recipient, the reply is not 354.
	Data() Answer

	// Send reads the text from r to io.EOF and returns the final reply: 2xx only
	// if the next server replied so, or the text is safe on disk. The text
	// includes the trace fields, its lines end in CRLF, and it is not
	// dot-stuffed. If r returns another error than io.EOF, the message is
	// incomplete: the hop must not accept it, and the reply is ignored. Only
	// with a 4xx or 5xx reply may Send return before the end of r.
	Send(r io.Reader) smtp.Reply

	// Reset abandons the current message, as after RSET.
	Reset()

	// Close abandons the current message and ends the session.
	Close()
}
