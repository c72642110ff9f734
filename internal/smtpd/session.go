package smtpd

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// bufferSize suits command lines and most headers. It is small since each idle
// session holds one.
const bufferSize = 4096

// writers are lent to sessions that have something to say.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, bufferSize) }}

// A session is one connection of a sender, served by one goroutine.
type session struct {
	server  *Server
	setup   *setup
	id      string
	began   time.Time
	addr    netip.AddrPort
	local   netip.AddrPort
	network netip.Prefix

	raw   net.Conn // below TLS
	conn  net.Conn // raw, or TLS over it
	paced paced
	in    *bufio.Reader
	out   *bufio.Writer // nil: nothing waits to be sent

	tls      *tls.ConnectionState
	greeting string // the argument of EHLO or HELO
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
	messages         int
	taken            int // recipients of all messages taken
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

// A pendingReply is one that pipelined commands wait for. took, if set, is
// told of it.
type pendingReply struct {
	answer nexthop.Answer
	took   func(smtp.Reply)
}

func newSession(s *Server, conn net.Conn) *session {
	addr, local := addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr())
	return &session{
		server:  s,
		setup:   s.setup.Load(),
		id:      rand.Text()[:10],
		began:   time.Now(),
		addr:    addr,
		local:   local,
		network: network(addr.Addr()),
		raw:     conn,
		conn:    conn,
	}
}

func addrPort(addr net.Addr) netip.AddrPort {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// messageID is the session's id and the number of the message within it.
func (s *session) messageID() string { return fmt.Sprintf("%s.%d", s.id, s.messages+1) }

// serve runs the session to its end.
func (s *session) serve(implicit bool) {
	defer s.logEnd()
	defer s.close()
	s.conn = s.server.gate.Conn(s.raw)
	s.use(s.conn)
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
	s.dispatch(verb, arg)
}

// mayCommand counts a command.
func (s *session) mayCommand() bool {
	s.commands++
	return s.commands <= s.setup.Limits.Commands*(s.messages+1)
}

// readCommand reads a line, without its CRLF. Replies that wait leave first,
// unless the sender has pipelined a command already (RFC 2920).
func (s *session) readCommand() ([]byte, error) {
	if here, _ := s.in.Peek(s.in.Buffered()); bytes.IndexByte(here, '\n') < 0 {
		s.settle()
		s.flush()
		if s.end != "" {
			return nil, io.EOF
		}
	}
	s.await()
	defer s.idle.Store(false)
	line, err := s.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || len(line) > smtp.MaxCommandLine {
		return nil, errLongCommand
	}
	if err != nil {
		return nil, err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, errBareLF
	}
	return line[:len(line)-2], nil
}

// await sets the deadline for a command. While the server drains, no further
// command is waited for outside of a message.
func (s *session) await() {
	s.idle.Store(s.phase == betweenMessages)
	s.paced.start(s.setup.Limits.CommandTimeout, 0)
	if s.draining.Load() && s.idle.Load() {
		s.conn.SetReadDeadline(longAgo)
	}
}

// longAgo as a deadline ends a Read that waits.
var longAgo = time.Unix(1, 0)

// drain makes the session end where no message suffers. It is called from
// another goroutine.
func (s *session) drain() {
	s.draining.Store(true)
	if s.idle.Load() {
		s.raw.SetReadDeadline(longAgo)
	}
}

var (
	errLongCommand = errors.New("smtpd: command line too long")
	errBareLF      = errors.New("smtpd: command line ends in LF without CR")
)

// cannotRead ends the session when no command could be read.
func (s *session) cannotRead(err error) {
	s.settle()
	switch {
	case s.end != "":
	case errors.Is(err, errLongCommand):
		s.hangUp(smtp.NewReply(500, "5.5.6", fmt.Sprintf("command line longer than %d bytes", smtp.MaxCommandLine)), "command too long")
	case errors.Is(err, errManyChunks):
		s.hangUp(smtp.NewReply(421, "4.7.0", "too many chunks"), "too many commands")
	case errors.Is(err, errBareLF):
		s.hangUp(smtp.NewReply(500, "5.5.2", "command line must end in CRLF, not in LF alone"), "bare LF in command")
	case errors.Is(err, os.ErrDeadlineExceeded) && s.draining.Load():
		s.hangUp(smtp.NewReply(421, "4.3.2", "server shuts down, come back soon"), "drained")
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.hangUp(smtp.NewReply(421, "4.4.2", "no command in time"), "timeout")
	case errors.Is(err, io.EOF):
		s.end = "closed by sender"
	default:
		s.end, s.err = "connection lost", err
	}
}

// hangUp ends the session with a last reply.
func (s *session) hangUp(reply smtp.Reply, end string) {
	s.settle()
	if s.end == "" {
		s.reply(reply)
		s.end = end
	}
}

// reply answers behind all that waits.
func (s *session) reply(reply smtp.Reply) {
	s.settle()
	s.put(reply)
}

// put writes a reply. A sender that is refused too often has to go.
func (s *session) put(reply smtp.Reply) {
	if s.end != "" {
		return
	}
	s.write(reply)
	if reply.Permanent() {
		s.errors++
	}
	if reply.Code == 421 { // RFC 5321, Section 3.8: the connection closes now
		s.end = reply.String()
	}
	if s.errors > s.setup.Limits.Errors {
		s.write(smtp.NewReply(421, "4.7.0", "too many errors"))
		s.end = "too many errors"
	}
}

func (s *session) write(reply smtp.Reply) {
	if s.out == nil {
		s.out = writers.Get().(*bufio.Writer)
		s.out.Reset(&s.paced)
	}
	s.out.Write(reply.Append(s.out.AvailableBuffer()))
}

// later notes a reply of the next hop's that need not be waited for yet.
func (s *session) later(answer nexthop.Answer, took func(smtp.Reply)) {
	s.pending = append(s.pending, pendingReply{answer, took})
	if len(s.pending) >= s.setup.Limits.Recipients {
		s.settle()
	}
}

// settle waits for the replies that are pending and writes them.
func (s *session) settle() {
	pending := s.pending
	s.pending = nil
	for _, p := range pending {
		reply := p.answer()
		p.took(reply)
		s.put(reply)
	}
}

// flush sends the replies written so far.
func (s *session) flush() {
	if s.out == nil {
		return
	}
	if err := s.out.Flush(); err != nil && s.end == "" {
		s.end, s.err = "connection lost", err
	}
	s.out.Reset(nil)
	writers.Put(s.out)
	s.out = nil
}

// refuse replies to an error that carries its reply.
func (s *session) refuse(err error) {
	var refusal *smtp.Refusal
	if errors.As(err, &refusal) {
		s.reply(refusal.Reply)
		return
	}
	s.reply(smtp.NewReply(451, "4.3.0", "server trouble, try again later"))
	s.err = err
}

// tooMany turns a sender away for now.
func (s *session) tooMany(things string) smtp.Reply {
	return smtp.NewReply(421, "4.7.0", fmt.Sprintf("%s too many %s from your network %s, try again later (id %s)",
		s.setup.Hostname, things, s.network, s.id))
}
