package relay

import (
	"errors"
	"time"
)

// errEarlyReply means that a server replied to a text before its end: the reply cannot be
// about the message, which the server does not have.
var errEarlyReply = errors.New("reply before the end of the text")

// peekTime is how long decrypting what has arrived may take.
const peekTime = 10 * time.Millisecond

// hasReply reports whether a reply has arrived, after the last one was read. It does not wait for
// one.
func (c *conn) hasReply() bool {
	if !readable(c.raw) {
		return false
	}
	// In TLS it may be a session ticket.
	c.SetReadDeadline(time.Now().Add(peekTime))
	_, err := c.in.Peek(1)
	return err == nil
}
