package smtpd

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"postern/handshake"
	"postern/internal/admission"
	"postern/internal/front"
	"postern/internal/nexthop"
	"postern/internal/probekey"
	"postern/internal/smtp"
	"postern/sessionticket"
)

// bufferSize is enough for command lines and most headers.
const bufferSize = 4096

// A session is one connection of a sender. One goroutine serves it.
type session struct {
	server *Server
	setup  *setup
	id     string
	began  time.Time
	addr   netip.AddrPort
	local  netip.AddrPort

	front   *front.Conn    // raw, if a front-end says who the client is; else nil
	xclient smtp.XClient   // what it said by XCLIENT
	peer    netip.AddrPort // who connected, and made the TLS handshake, if XCLIENT named another client
	ofFront bool           // there is no client: the connection is the front-end's own

	admitted bool // counted in the limits of addr

	raw    net.Conn        // as it was accepted
	record *handshake.Conn // over raw
	gate   net.Conn        // over record
	conn   net.Conn        // gate, or TLS over it
	timed  deadlineConn    // conn with deadlines
	input  input           // over timed
	in     *bufio.Reader   // over input; nil while the session waits for a command
	out    *bufio.Writer   // nil if there is nothing to send

	tls         *tls.ConnectionState
	certificate *x509.Certificate     // presented in the handshake
	transcript  *handshake.Transcript // of a recording that has ended
	completed   *handshake.Transcript // see [SessionResult]
	mode        sessionticket.Mode
	ja4         string
	tlsCommands int // since TLS began

	handshakeTime time.Duration // that a completed handshake took

	greeting string // the argument of EHLO or HELO; STARTTLS clears it
	lastEHLO string // the last greeting; STARTTLS does not clear it
	extended bool   // EHLO, not HELO
	probe    bool   // an EHLO was that of a probe; STARTTLS does not clear it

	hop        nexthop.Session // nil before the first MAIL
	pending    []pendingReply
	command    command // being executed
	inMessage  bool    // since MAIL
	mail       smtp.Mail
	mailBegan  time.Time
	recipients []string // accepted by the next hop
	asked      int      // RCPT commands passed to the next hop for this message

	idle     atomic.Bool // waiting for a command outside of a message
	draining atomic.Bool

	commands, errors int                // since the session began
	refused          int                // commands with a 5xx reply
	deferred         int                // commands with a 4xx reply
	texts            int                // message texts received, accepted or not
	messages         int                // messages acknowledged
	acknowledged     int                // their recipients
	bytes            int64              // of message text received, accepted or not
	spent            time.Duration      // waiting for commands in the current message
	hungUp           bool               // the server ends the session while the sender may be sending
	end              string             // how the session ended; empty while it runs
	limit            *admission.Reached // the last limit that the sender has reached; nil: none
	err              error
}

func newSession(s *Server, conn net.Conn) *session {
	addr, local := addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr())
	fronted, _ := conn.(*front.Conn)
	return &session{
		server: s,
		setup:  s.setup.Load(),
		id:     rand.Text()[:10],
		began:  time.Now(),
		addr:   addr,
		local:  local,
		front:  fronted,

		raw:    conn,
		conn:   conn,
		record: handshake.NewConn(conn, handshake.AtServer),
	}
}

func addrPort(addr net.Addr) netip.AddrPort {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// messageID returns the session's id and the number of the message in it.
func (s *session) messageID() string { return s.id + "." + strconv.Itoa(s.texts) }

// serve runs the session until it ends.
func (s *session) serve(implicit bool) {
	defer s.close()
	s.gate = s.server.gate.Conn(s.record)
	s.use(s.gate)
	if implicit {
		s.implicitTLS()
	}
	s.reply(smtp.Reply{Code: 220, Lines: []string{probekey.Greeting(s.setup.Hostname, s.id)}})
	for s.end == "" {
		s.step()
	}
	s.flush()
	if s.hungUp {
		s.linger()
	}
}

// use makes the session read and write conn.
func (s *session) use(conn net.Conn) {
	s.conn = conn
	s.timed = deadlineConn{
		conn:      conn,
		until:     s.began.Add(s.setup.Limits.SessionTime),
		writeTime: s.setup.Limits.WriteTimeout,
	}
	s.input.conn = &s.timed
	if s.in == nil {
		s.acquireReader()
	}
	s.in.Reset(&s.input) // without what came before TLS
	s.input.head = nil
}

func (s *session) close() {
	s.closeHop()
	s.stopRecording()
	s.conn.Close()
	s.releaseReader()
}

// resetSession discards everything that the sender said before STARTTLS (RFC 3207,
// Section 4.2).
func (s *session) resetSession() {
	s.closeHop()
	s.greeting = ""
	s.reset()
}

func (s *session) closeHop() {
	if s.hop != nil {
		s.hop.Close()
		s.hop = nil
	}
}

// reset ends the mail transaction.
func (s *session) reset() {
	s.inMessage = false
	s.mail = smtp.Mail{}
	s.recipients = nil
	s.asked = 0
	s.spent = 0
}

// step reads and executes one command.
func (s *session) step() {
	line, err := s.readCommand()
	if err != nil {
		s.readFailed(err)
		return
	}
	verb, arg, err := smtp.ParseCommand(line)
	s.command = s.newCommand(verb, arg)
	if !s.countCommand() {
		s.hangUp(smtp.NewReply(421, "4.7.0", "too many commands without a message"), "too many commands")
		return
	}
	if err != nil {
		s.refuse(err)
		return
	}
	s.recordCommand(verb)
	s.dispatch(verb, arg)
}
