package smtpd

import (
	"crypto/tls"
	"io"
	"net"
	"time"

	"postern/internal/smtp"
)

// Bounds of a lingering close, in the manner of nginx: for the whole of it, for a silence,
// and for the bytes, in maximum messages.
const (
	lingerTime     = time.Minute
	lingerSilence  = 5 * time.Second
	lingerMessages = 4
)

// linger waits until the sender closes, after the last reply: it may still be sending.
// A connection that is closed while bytes are unread is reset (RFC 2525, Section 2.17), and
// the reset can overtake the reply. The sender would try again for days. So only the
// sending side is closed at first.
func (s *session) linger() {
	half, ok := s.raw.(interface{ CloseWrite() error })
	if !ok || s.server.draining.Load() {
		return
	}
	s.closeHop()
	if over, ok := s.conn.(*tls.Conn); ok {
		over.CloseWrite() // close_notify
	}
	half.CloseWrite()
	s.idle.Store(true) // drain ends the wait
	n, ended := s.skip(time.Now().Add(lingerTime), lingerMessages*s.setup.Limits.MessageSize)
	s.server.admission.AddBytes(s.addr.Addr(), s.setup.Limits.Quotas, n)
	if !ended && s.err == nil {
		s.err = errEndless
	}
}

// skip reads what the sender sends, without decrypting it. It reports whether there is no
// more.
func (s *session) skip(until time.Time, most int64) (n int64, ended bool) {
	buffer := make([]byte, bufferSize)
	for n < most && time.Now().Before(until) {
		s.raw.SetReadDeadline(time.Now().Add(lingerSilence))
		s.interrupt()
		got, err := s.raw.Read(buffer)
		n += int64(got)
		if err != nil {
			return n, true
		}
	}
	return n, false
}

// maxTurnedAway bounds the connections that linger after a first and last reply, and so
// descriptors. Others are closed at once: connections over a limit must cost little.
const maxTurnedAway = 64

// maxTalk bounds what is read of one of them, in bytes.
const maxTalk = 64 << 10

// turnAway replies, unless the client expects TLS, and closes the connection. It does not wait
// for the client: a first reply fits into the socket's buffer. The client may talk first, or send
// QUIT: as after [session.linger], it gets the reply all the same.
func (s *Server) turnAway(conn net.Conn, reply smtp.Reply, implicit bool) {
	if implicit {
		conn.Close()
		return
	}
	conn.SetWriteDeadline(time.Now().Add(time.Second))
	conn.Write(reply.Append(nil))
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		conn.Close()
		return
	}
	half.CloseWrite()
	if s.turnedAway.Add(1) > maxTurnedAway {
		s.turnedAway.Add(-1)
		conn.Close()
		return
	}
	go func() {
		conn.SetReadDeadline(time.Now().Add(lingerSilence))
		io.CopyN(io.Discard, conn, maxTalk)
		conn.Close()
		s.turnedAway.Add(-1)
	}()
}
