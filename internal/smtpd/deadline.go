package smtpd

import (
	"net"
	"time"

	"postern/internal/admission"
)

// progress is how many bytes of a message extend its deadline.
const progress = 32 << 10

// deadlineConn sets deadlines on conn. For a message, each 32 KiB extend the deadline, not
// each byte, so that a sender that trickles bytes does not keep its session. The error is
// os.ErrDeadlineExceeded.
type deadlineConn struct {
	conn      net.Conn
	until     time.Time          // of the whole session
	deadline  time.Time          // for reads
	step      time.Duration      // by which progress extends the deadline
	got       int                // since the last extension
	writeTime time.Duration      // for each write
	below     *admission.TLSConn // below conn, if that is TLS
}

// start sets the read deadline. Progress extends it by as much; that of a command ends before.
func (c *deadlineConn) start(within time.Duration) {
	c.step, c.got = within, 0
	c.extend(within)
}

// extend sets the read deadline. It is that of writes too: if the sender wants new keys, TLS writes
// while it reads, and cannot read on if it could not (RFC 8446, Section 4.6.3).
func (c *deadlineConn) extend(within time.Duration) {
	c.deadline = time.Now().Add(within)
	if c.deadline.After(c.until) {
		c.deadline = c.until
	}
	c.conn.SetDeadline(c.deadline)
}

// pause makes room for another deadline. resume goes on with what is left of this one.
func (c *deadlineConn) pause() (resume func()) {
	left, step, got := time.Until(c.deadline), c.step, c.got
	return func() {
		c.step, c.got = step, got
		c.extend(left)
	}
}

// Read reads from the connection.
func (c *deadlineConn) Read(b []byte) (int, error) {
	n, err := c.conn.Read(b)
	c.got += n
	if c.below != nil {
		c.below.Data() // without data there is an error, which ends the session
	}
	if c.got >= progress {
		c.got = 0
		c.extend(c.step)
	}
	return n, err
}

// Write writes to the connection.
func (c *deadlineConn) Write(b []byte) (int, error) {
	c.conn.SetWriteDeadline(time.Now().Add(c.writeTime))
	return c.conn.Write(b)
}
