package smtpd

import (
	"context"
	"crypto/tls"
	"fmt"
	"runtime/debug"
)

// handshake runs the handshake of conn on a goroutine of its own. It needs a stack of 16 KiB,
// half of which the session's goroutine would keep for as long as the sender is silent.
func (s *session) handshake(conn *tls.Conn) error {
	type outcome struct {
		err      error
		panicked any
	}
	ended := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if cause := recover(); cause != nil {
				o.panicked = fmt.Sprintf("%v\n%s", cause, debug.Stack())
			}
			ended <- o
		}()
		growStack()
		o.err = conn.HandshakeContext(context.WithValue(context.Background(), sessionKey{}, s))
	}()
	o := <-ended
	if o.panicked != nil {
		panic(o.panicked) // it ends this session alone: see Server.end
	}
	return o.err
}

// A stackRoom is what a handshake takes of a stack, beyond what a goroutine begins with.
type stackRoom [9 << 10]byte

// growStack makes room for a handshake while there is little on the stack. Otherwise it is
// doubled three times in the middle of the handshake, and each time all frames are copied.
//
//go:noinline
func growStack() {
	var room stackRoom
	room.use()
}

// use keeps the compiler from leaving out the array.
//
//go:noinline
func (*stackRoom) use() {}
