package relay

import (
	"errors"
	"syscall"
	"time"
)

// errEarlyReply means that a server replied to a text before its end: the reply cannot be
// about the message, which the server does not have.
var errEarlyReply = errors.New("reply before the end of the text")

// peekTime is how long decrypting what has arrived may take.
const peekTime = 10 * time.Millisecond

// hasReply reports whether a reply has arrived. It does not wait for one.
func (c *conn) hasReply() bool {
	if c.in.Buffered() > 0 {
		return true
	}
	if !readable(c.raw) {
		return false
	}
	// In TLS it may be a session ticket.
	c.SetReadDeadline(time.Now().Add(peekTime))
	_, err := c.in.Peek(1)
	return err == nil
}

// readable reports whether bytes have arrived at a socket.
func readable(conn any) bool {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		n, _, _ = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return err == nil && n > 0
}
