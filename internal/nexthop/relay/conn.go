package relay

import (
	"bufio"
	"net"
	"time"

	"postern/internal/smtp"
)

// replyBuffer holds a group of pipelined replies. It is small since each
// session that has sent a message holds one.
const replyBuffer = 2048

// A conn is a connection to the server. It is used by one goroutine.
type conn struct {
	net.Conn          // raw, or TLS over it
	raw      net.Conn // below TLS
	in       *bufio.Reader
	caps     smtp.Capabilities
	verified bool // encrypted, with a certificate that was verified
	used     bool // has carried MAIL, so that it may have gone stale since
	open     bool // a transaction is open: MAIL was taken
}

func newConn(raw net.Conn) *conn {
	return &conn{Conn: raw, raw: raw, in: bufio.NewReaderSize(raw, replyBuffer)}
}

// wrap makes over the one that is read and written: TLS over raw.
func (c *conn) wrap(over net.Conn) {
	c.Conn = over
	c.in.Reset(over)
}

// extensions are those that the envelope of a message on c may use.
func (c *conn) extensions() smtp.Extensions {
	extensions := c.caps.Extensions()
	extensions.RequireTLS = extensions.RequireTLS && c.verified
	return extensions
}

// within bounds the next step.
func (c *conn) within(d time.Duration) { c.SetDeadline(time.Now().Add(d)) }

// say writes commands. Where the server has said more than it was asked, its
// replies and our commands could no longer be told to belong together.
func (c *conn) say(commands []byte) error {
	if c.in.Buffered() > 0 {
		return errTurn
	}
	_, err := c.Write(commands)
	return err
}

// hear reads one reply.
func (c *conn) hear() (smtp.Reply, error) { return smtp.ReadReply(c.in) }

// ask is one command and its reply.
func (c *conn) ask(command string) (smtp.Reply, error) {
	if err := c.say([]byte(command + "\r\n")); err != nil {
		return smtp.Reply{}, err
	}
	return c.hear()
}

// drop closes the connection at once, without the end of TLS: what was begun
// on it must not look finished.
func (c *conn) drop() { c.raw.Close() }

// quit takes leave of the server and closes the connection.
func (c *conn) quit(patience time.Duration) {
	c.within(patience)
	if _, err := c.ask("QUIT"); err != nil {
		c.drop()
		return
	}
	c.Close()
}
