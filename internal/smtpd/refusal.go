package smtpd

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/smtp"
)

// A RefusedCommand is a command that was refused or deferred: its reply is 5xx or 4xx.
type RefusedCommand struct {
	Session string
	At      time.Time
	Sender  netip.AddrPort
	EHLO    string
	Probe   bool // a session of the operator's own probe

	// Command is the verb of the command, or as in Postfix's log CONNECT for the
	// connection, END-OF-MESSAGE for the text of a message, and UNKNOWN for a verb that
	// is none.
	Command string

	From       string   // envelope sender, if there is one
	Recipients []string // of RCPT its own; of END-OF-MESSAGE those of the message
	Reply      smtp.Reply
}

// A command is what is known of a command when it is replied to.
type command struct {
	verb       string // empty if the reply is to no command, as after a timeout
	from       string
	recipients []string
}

const (
	connecting   = "CONNECT"
	endOfMessage = "END-OF-MESSAGE"
	unknownVerb  = "UNKNOWN"
)

// verbs are the commands of RFC 5321 and its extensions. A refusal has no other: a client
// can make up any number.
var verbs = strings.Fields("EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY EXPN HELP STARTTLS AUTH ETRN TURN SEND SOML SAML XCLIENT")

func (s *session) newCommand(verb, arg string) command {
	c := command{verb: verb, from: s.mail.From}
	switch {
	case verb == "MAIL":
		c.from = smtp.PathIn(arg)
	case verb == "RCPT":
		c.recipients = []string{smtp.PathIn(arg)}
	case !slices.Contains(verbs, verb):
		c.verb = unknownVerb
	}
	return c
}

// noteReply counts a reply to c that is not positive, and reports it.
func (s *session) noteReply(c command, reply smtp.Reply) {
	switch {
	case c.verb == "":
		return
	case reply.Permanent():
		s.refused++
	case reply.Transient():
		s.deferred++
	default:
		return
	}
	s.server.observer.CommandRefused(RefusedCommand{
		Session: s.id, At: time.Now(), Sender: s.addr, EHLO: s.lastEHLO, Probe: s.probe,
		Command: c.verb, From: c.from, Recipients: c.recipients, Reply: reply,
	})
}
