package persona

import (
	"crypto/tls"
	"math"
	"net"
	"time"
)

var bigHello = Persona{
	ID:        "big-hello",
	Case:      "big-hello",
	Does:      "Sends a ClientHello with a key for X25519MLKEM768, about 1,500 bytes, in one write",
	configure: postQuantum,
}

// postQuantum has the groups that servers have besides, as such senders do: what is
// to be seen is whether the size does harm.
func postQuantum(config *tls.Config, _ Target) error {
	config.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}
	return nil
}

var bigHelloSplit = Persona{
	ID:        "big-hello-split",
	Case:      "big-hello",
	Does:      "Sends the ClientHello of big-hello in two writes, with 0.1 s between them",
	Delay:     splitPause,
	configure: postQuantum,
	wrap:      func(c net.Conn) net.Conn { return &cutConn{Conn: c, pieces: 2, pause: splitPause} },
}

const splitPause = 100 * time.Millisecond

// A cutConn sends what is written to it first, the ClientHello, in pieces.
type cutConn struct {
	net.Conn
	pieces int // 0: none is left to cut
	pause  time.Duration
}

func (c *cutConn) Write(b []byte) (written int, err error) {
	pieces := min(c.pieces, len(b))
	c.pieces = 0
	for ; pieces > 1; pieces-- {
		n, err := c.Conn.Write(b[written : written+(len(b)-written)/pieces])
		written += n
		if err != nil {
			return written, err
		}
		time.Sleep(c.pause)
	}
	n, err := c.Conn.Write(b[written:])
	return written + n, err
}

var bigHelloBytes = Persona{
	ID:        "big-hello-bytes",
	Case:      "big-hello",
	Does:      "Sends the ClientHello of big-hello in writes of one byte",
	configure: postQuantum,
	wrap:      func(c net.Conn) net.Conn { return &cutConn{Conn: c, pieces: math.MaxInt} },
}
