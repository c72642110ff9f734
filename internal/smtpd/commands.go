package smtpd

import (
	"cmp"
	"fmt"
	"strings"

	"postern/internal/probekey"
	"postern/internal/smtp"
)

// dispatch executes a command.
func (s *session) dispatch(verb, arg string) {
	switch verb {
	case "EHLO", "HELO":
		s.ehlo(verb == "EHLO", arg)
	case "STARTTLS":
		s.startTLS(arg)
	case "MAIL":
		s.mailFrom(arg)
	case "RCPT":
		s.rcptTo(arg)
	case "DATA":
		s.data(arg)
	case "BDAT":
		s.bdat(arg)
	case "RSET":
		s.rset()
	case "NOOP":
		s.reply(smtp.NewReply(250, "2.0.0", "OK"))
	case "XCLIENT":
		s.xclientCommand(arg)
	case "QUIT":
		s.reply(smtp.NewReply(221, "2.0.0", "goodbye (id "+s.id+")"))
		s.end = "quit"
	default:
		s.dispatchOther(verb)
	}
}

// dispatchOther replies to commands that are not needed to deliver mail.
func (s *session) dispatchOther(verb string) {
	switch verb {
	case "VRFY":
		s.reply(smtp.NewReply(252, "2.5.0", "cannot VRFY user, but will accept message"))
	case "HELP":
		s.reply(smtp.NewReply(214, "2.0.0", "Postern accepts mail for its own domains (RFC 5321)"))
	case "EXPN", "TURN", "ETRN", "SEND", "SOML", "SAML", "AUTH":
		s.reply(smtp.NewReply(502, "5.5.1", verb+" not offered"))
	case "GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS":
		// A website can make a browser send such a request, with SMTP commands in the body.
		s.hangUp(smtp.NewReply(421, "4.7.0", "SMTP only, not a web server"), "HTTP request")
	default:
		s.reply(smtp.NewReply(500, "5.5.1", "command not recognized"))
	}
}

// maxGreeting is the maximum length of a domain in EHLO (RFC 5321, Section 4.5.3.1.2).
const maxGreeting = 255

func (s *session) ehlo(extended bool, arg string) {
	name, _, _ := strings.Cut(arg, " ")
	if name == "" || len(name) > maxGreeting {
		s.reply(smtp.NewReply(501, "5.5.4", "expected a host name"))
		return
	}
	if probe, ok := s.setup.ProbeKey.Verify(name, s.id); ok && s.messages == 0 {
		s.probe, name = true, probe
	}
	s.abandon()
	// A next hop that got the old name must get the new one.
	if s.hop != nil && (name != s.greeting || extended != s.extended) {
		s.closeHop()
	}
	s.greeting, s.lastEHLO, s.extended = name, name, extended
	if !extended {
		s.reply(smtp.Reply{Code: 250, Lines: []string{s.setup.Hostname}})
		return
	}
	s.reply(smtp.Reply{Code: 250, Lines: s.keywords()})
}

// keywords returns the lines of the reply to EHLO.
func (s *session) keywords() []string {
	offered := s.offered()
	lines := []string{
		s.welcome(),
		"PIPELINING",
		fmt.Sprintf("SIZE %d", offered.Size),
		"ENHANCEDSTATUSCODES",
		"CHUNKING",
	}
	for _, keyword := range []struct {
		offered bool
		name    string
	}{
		{s.setup.tls != nil && s.tls == nil && !s.xclient.Named, "STARTTLS"},
		{offered.EightBitMIME, "8BITMIME"},
		{offered.SMTPUTF8, "SMTPUTF8"},
		{offered.DSN, "DSN"},
		{offered.RequireTLS, "REQUIRETLS"},
		{s.awaitsXClient(), "XCLIENT " + smtp.XClientAttributes},
	} {
		if keyword.offered {
			lines = append(lines, keyword.name)
		}
	}
	return lines
}

// welcome returns the first line of the reply to EHLO.
func (s *session) welcome() string {
	client := string(appendLiteral(nil, s.addr.Addr()))
	if s.probe {
		return probekey.Welcome(s.setup.Hostname, client)
	}
	return s.setup.Hostname + " greets " + client
}

// offered returns the extensions of both the server and the next hop.
func (s *session) offered() smtp.Extensions {
	offered := s.server.hop.Extensions()
	limit := s.setup.Limits.MessageSize
	offered.Size = min(cmp.Or(offered.Size, limit), limit)
	// RFC 8689, Section 4.2.1: only over TLS.
	offered.RequireTLS = offered.RequireTLS && s.tls != nil
	return offered
}

func (s *session) rset() {
	s.abandon()
	s.reply(smtp.NewReply(250, "2.0.0", "message reset"))
}

// abandon ends the mail transaction, also at the next hop.
func (s *session) abandon() {
	s.writePending()
	if s.hop != nil && s.inMessage {
		s.hop.Reset()
	}
	s.reset()
}
