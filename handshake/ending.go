package handshake

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// own and peer are the sides of a recorder at an end.
func (v View) own() Side {
	if v == AtClient {
		return Client
	}
	return Server
}

func (v View) peer() Side {
	if v == AtClient {
		return Server
	}
	return Client
}

// ended says what the error of a Read or Write tells of the connection. The end's
// own Close is noted when it is called.
func (v View) ended(err error) End {
	switch {
	case err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe):
		return End{}
	case isTimeout(err):
		return End{How: TimedOut, By: v.peer(), Err: err.Error()}
	case errors.Is(err, io.EOF):
		return End{How: Closed, By: v.peer(), Err: err.Error()}
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return End{How: Reset, By: v.peer(), Err: err.Error()}
	}
	return End{How: Closed, By: Nobody, Err: err.Error()}
}

// isTimeout reports whether a deadline has passed, or TCP has given up.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// closed is an end's own Close.
func (v View) closed() End {
	if v == AtClient {
		return End{How: Closed, By: Client}
	}
	return End{How: Dropped, By: Server}
}
