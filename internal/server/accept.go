package server

import (
	"errors"
	"log/slog"
	"net"
	"time"

	"postern/internal/logkey"
)

// acceptPause lets the system recover, for example from too many open files.
const acceptPause = 100 * time.Millisecond

// A steadyListener tries again when the system cannot accept a connection. It returns an
// error only when it is closed.
type steadyListener struct {
	net.Listener
	log *slog.Logger // a faultLog, of all listeners
}

func (l steadyListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		l.log.Warn("cannot accept connections", logkey.Err, err)
		time.Sleep(acceptPause)
	}
}
