package handshake

import (
	"io"
	"net"
	"syscall"
	"unsafe"
)

// unacknowledged returns how many of the bytes written to c its peer's TCP has not
// acknowledged; ok is false if that is not known. It is the SIOCOUTQ of tcp(7), the distance
// from the oldest byte without an acknowledgement to the newest one written. Unlike the
// tcpi_unacked of TCP_INFO it stays after a reset. C must not be closed.
func unacknowledged(c net.Conn) (n int, ok bool) {
	var queued int32
	asked := onSocket(c, func(fd uintptr) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&queued)))
		ok = errno == 0
	})
	return int(queued), asked && ok
}

// pendingEnd returns the error of the next Read from c if the peer has closed or reset the
// connection and everything before that was read; nil otherwise.
func pendingEnd(c net.Conn) (end error) {
	onSocket(c, func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.ECONNRESET:
			end = err
		case err == nil && n == 0:
			end = io.EOF
		}
	})
	return end
}

// onSocket calls do with the descriptor of a TCP connection. It returns false if c is none, or
// is closed.
func onSocket(c net.Conn, do func(fd uintptr)) bool {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	return err == nil && raw.Control(do) == nil
}
