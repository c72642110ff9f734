package smtpd

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"postern/handshake"
	"postern/internal/admission"
	"postern/internal/nexthop"
	"postern/internal/smtp"
	"postern/sessionticket"
)

// bufferSize suits command lines and most headers. It is small since each idle
// session holds one.
const bufferSize = 4096

// A session is one connection of a sender, served by one goroutine.
type session struct {
	server  *Server
	setup   *setup
	id      string
	began   time.Time
	addr    netip.AddrPort
	local   netip.AddrPort
	network netip.Prefix

	raw    net.Conn        // the sender's, as it was accepted
	record *handshake.Conn // over raw
	gate   net.Conn        // over record
	conn   net.Conn        // gate, or TLS over it
	paced  paced
	in     *bufio.Reader
	out    *bufio.Writer // nil: nothing waits to be sent

	tls         *tls.ConnectionState
	transcript  *handshake.Transcript // of a recording that has ended
	mode        sessionticket.Mode
	ja4         string
	tlsCommands int // since TLS began

	greeting string // the argument of EHLO or HELO
	lastEHLO string // the last greeting, for the result: STARTTLS makes us forget the other
	extended bool   // EHLO

	hop        nexthop.Session // nil before the first MAIL
	pending    []pendingReply
	phase      phase
	mail       smtp.Mail
	recipients []string // those that the next hop has taken
	asked      int      // RCPT commands of this message

	idle     atomic.Bool // waits for a command outside of a message
	draining atomic.Bool

	commands, errors int // since the session began
	texts            int // that came, taken or not
	messages         int // that were taken
	acknowledged     int // recipients of these messages
	bytes            int64
	end              string // how the session ended, for the log
	err              error
}

// A phase is where the dialogue stands.
type phase int

const (
	betweenMessages phase = iota
	inEnvelope            // MAIL was given
	inChunks              // BDAT was given, LAST not yet
)

func newSession(s *Server, conn net.Conn) *session {
	addr, local := addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr())
	return &session{
		server:  s,
		setup:   s.setup.Load(),
		id:      rand.Text()[:10],
		began:   time.Now(),
		addr:    addr,
		local:   local,
		network: admission.Network(addr.Addr()),
		raw:     conn,
		conn:    conn,
		record:  handshake.NewConn(conn, handshake.AtServer),
	}
}

func addrPort(addr net.Addr) netip.AddrPort {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// messageID is the session's id and the number of the text within it.
func (s *session) messageID() string { return fmt.Sprintf("%s.%d", s.id, s.texts) }

// serve runs the session to its end.
func (s *session) serve(implicit bool) {
	defer s.close()
	s.gate = s.server.gate.Conn(s.record)
	s.use(s.gate)
	if implicit && !s.secure() {
		return
	}
	s.reply(smtp.Reply{Code: 220, Lines: []string{s.setup.Hostname + " ESMTP Postern " + s.id}})
	for s.end == "" {
		s.step()
	}
	s.flush()
}

// use makes conn the one that is read and written.
func (s *session) use(conn net.Conn) {
	s.conn = conn
	s.paced = paced{
		conn:      conn,
		until:     s.began.Add(s.setup.Limits.SessionTime),
		writeTime: s.setup.Limits.WriteTimeout,
	}
	if s.in == nil {
		s.in = bufio.NewReaderSize(&s.paced, bufferSize)
	}
	s.in.Reset(&s.paced)
}

func (s *session) close() {
	s.leaveHop()
	s.stopRecording()
	s.conn.Close()
}

// forget drops all that the sender said, as after STARTTLS (RFC 3207,
// Section 4.2).
func (s *session) forget() {
	s.leaveHop()
	s.greeting, s.extended = "", false
	s.reset()
}

func (s *session) leaveHop() {
	if s.hop != nil {
		s.hop.Close()
		s.hop = nil
	}
}

// reset ends the message at hand.
func (s *session) reset() {
	s.phase = betweenMessages
	s.mail = smtp.Mail{}
	s.recipients = nil
	s.asked = 0
}

// step serves one command.
func (s *session) step() {
	line, err := s.readCommand()
	if err != nil {
		s.cannotRead(err)
		return
	}
	if !s.mayCommand() {
		s.hangUp(smtp.NewReply(421, "4.7.0", "too many commands for so few messages"), "too many commands")
		return
	}
	verb, arg, err := smtp.ParseCommand(line)
	if err != nil {
		s.refuse(err)
		return
	}
	s.recordCommand(verb)
	s.dispatch(verb, arg)
}
