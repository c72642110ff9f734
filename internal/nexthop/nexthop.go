// Package nexthop says what a next hop is: where an accepted message goes.
// Its folders hold the kinds there are.
package nexthop

import (
	"crypto/tls"
	"io"
	"net/netip"

	"postern/internal/smtp"
)

// A Hop takes messages. It is safe for concurrent use.
type Hop interface {
	// Extensions tells what the hop can do now. It never blocks: a hop that
	// speaks to a server answers from its last conversation with it.
	Extensions() smtp.Extensions

	// Open starts the hop's side of one sender's session. It does no I/O.
	Open(Sender) Session
}

// Sender is the client whose session a hop serves, for hops that can tell the
// next server about it.
type Sender struct {
	SessionID string // stands in replies, the log and the Received field
	Addr      netip.AddrPort
	Local     netip.AddrPort       // our end of the connection
	Greeting  string               // the argument of EHLO or HELO
	Extended  bool                 // EHLO, not HELO
	TLS       *tls.ConnectionState // nil without TLS
}

// An Answer waits for the reply to a command that was given to a Session. The
// Answers of a session must be called once each, in the order of the commands:
// so commands that a sender pipelines (RFC 2920) are pipelined to the next hop
// too.
type Answer func() smtp.Reply

// A Session is one sender's dialogue with the hop: any number of messages, one
// after another. It is used by one goroutine. All replies are for the sender:
// trouble of the hop itself comes as a 4xx reply that says so. A hop has
// bounds on the time that it takes for each step.
type Session interface {
	// Mail begins a message.
	Mail(smtp.Mail) Answer

	// Rcpt adds a recipient.
	Rcpt(smtp.Recipient) Answer

	// Data asks whether the text may come: 354, or a refusal. It is the last
	// command of a message and may be given before the replies to the others
	// are known. If no recipient has been taken then, its reply is no 354.
	Data() Answer

	// Send reads the text from r to io.EOF and returns the final reply: 2xx
	// only if the hop's server said so or the bytes are safe on disk.
	// The text is complete with trace fields, its lines end in CRLF, and
	// nothing of it is dot-stuffed. If r returns another error than io.EOF,
	// the message has been broken off: nothing of it may be accepted
	// anywhere, and the reply is ignored. Send may return before r is read
	// to its end only with a 4xx or 5xx reply.
	Send(r io.Reader) smtp.Reply

	// Reset gives up the message at hand, as after RSET.
	Reset()

	// Close ends the session and gives up the message at hand.
	Close()
}
