package smtpd

import (
	"errors"
	"net/netip"
	"strings"

	"postern/internal/front"
	"postern/internal/probekey"
	"postern/internal/smtp"
)

var errNoXClient = errors.New("MAIL before XCLIENT")

// awaitsXClient reports whether the session needs to learn from XCLIENT who the client is.
func (s *session) awaitsXClient() bool {
	return s.front != nil && s.front.Protocol == front.XClient && !s.xclient.Named
}

// xclientCommand learns from a front-end who the client is, before the first message. The session
// starts over with the greeting, as in Postfix.
func (s *session) xclientCommand(arg string) {
	said := s.xclient
	switch err := said.Parse(arg); {
	case s.front == nil || s.front.Protocol != front.XClient:
		s.reply(smtp.NewReply(550, "5.7.0", "XCLIENT is for front-ends only"))
	case !s.mailBegan.IsZero():
		s.reply(smtp.NewReply(503, "5.5.1", "XCLIENT comes before MAIL"))
	case err != nil:
		s.refuse(err)
	case s.xclient.Named && said.Addr != s.xclient.Addr:
		s.reply(smtp.NewReply(503, "5.5.1", "a session is one client's; reconnect for another"))
	default:
		s.meetXClient(said)
	}
}

// meetXClient makes the client that XCLIENT names the sender, and admits it. A client without an
// address is the front-end.
func (s *session) meetXClient(said smtp.XClient) {
	s.xclient = said
	if said.Addr.IsValid() {
		if !s.peer.IsValid() {
			s.peer, s.ofFront = s.addr, false
		}
		s.addr = netip.AddrPortFrom(said.Addr, said.Port)
	}
	if said.Named && !s.admitted {
		if over := s.server.admission.Connect(s.addr.Addr(), s.setup.Limits.Quotas); over != nil {
			s.command.verb = connecting
			s.hangUp(s.overLimit(421, over, tooManyConnections), tooManyConnections)
			return
		}
		s.admitted = true
	}
	if said.DestAddr.IsValid() {
		s.local = netip.AddrPortFrom(said.DestAddr, said.DestPort)
	}
	s.greeting, _, _ = strings.Cut(said.Greeting, " ")
	s.lastEHLO, s.extended = s.greeting, said.Extended
	s.reply(smtp.Reply{Code: 220, Lines: []string{probekey.Greeting(s.setup.Hostname, s.id)}})
}
