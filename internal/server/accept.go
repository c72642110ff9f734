package server

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"postern/internal/logkey"
)

const (
	// acceptPause lets the system recover, for example from too many open files.
	acceptPause = 100 * time.Millisecond

	// acceptInterval is how often it is logged that connections cannot be accepted.
	acceptInterval = time.Minute
)

// A steadyListener tries again when the system cannot accept a connection. It returns an
// error only when it is closed.
type steadyListener struct {
	net.Listener
	failures *acceptFailures // of all listeners
}

func (l steadyListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		l.failures.note(err)
		time.Sleep(acceptPause)
	}
}

// acceptFailures logs failures to accept connections, once an interval.
type acceptFailures struct {
	log *slog.Logger

	mu     sync.Mutex
	logged time.Time
	count  int // since it was logged
}

func (f *acceptFailures) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if now := time.Now(); now.Sub(f.logged) >= acceptInterval {
		f.log.Warn("cannot accept connections", logkey.Err, err, logkey.Failures, f.count)
		f.logged, f.count = now, 0
	}
}
