package persona

import (
	"math"
	"net"
)

var bigHelloBytes = Persona{
	ID:        "big-hello-bytes",
	Case:      "big-hello",
	Does:      "Sends the ClientHello of big-hello in writes of one byte",
	configure: postQuantum,
	below:     func(c net.Conn) net.Conn { return &cutConn{Conn: c, pieces: math.MaxInt} },
}
