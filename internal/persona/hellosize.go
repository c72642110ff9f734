package persona

import (
	"crypto/tls"
	"math"
	"net"
	"slices"
	"time"

	utls "github.com/refraction-networking/utls"
)

var bigHello = Persona{
	ID:        "big-hello",
	Case:      "big-hello",
	Does:      "Sends a ClientHello with a key share for X25519MLKEM768, about 1,500 bytes, in one write",
	configure: postQuantum,
}

// postQuantum offers common groups too, as such senders do, so that a handshake can fail
// only because of the ClientHello's size.
func postQuantum(config *tls.Config, _ Target) error {
	config.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}
	return nil
}

var bigHelloSplit = Persona{
	ID:        "big-hello-split",
	Case:      "big-hello",
	Does:      "Sends the ClientHello of big-hello in two writes, with 0.1 s between them",
	Delay:     splitDelay,
	configure: postQuantum,
	wrap:      func(c net.Conn) net.Conn { return &splitConn{Conn: c, pieces: 2, delay: splitDelay} },
}

var bigHelloBytes = Persona{
	ID:        "big-hello-bytes",
	Case:      "big-hello",
	Does:      "Sends the ClientHello of big-hello in writes of one byte",
	configure: postQuantum,
	wrap:      func(c net.Conn) net.Conn { return &splitConn{Conn: c, pieces: math.MaxInt} },
}

// To distinguish the signature schemes from the size, compare with big-hello.
var mlDSAHello = Persona{
	ID:    "ml-dsa-hello",
	Case:  "ml-dsa-hello",
	Does:  "Offers the signature schemes of ML-DSA and a key share for X25519MLKEM768, as Go 1.27 does, about 1,500 bytes in one write",
	shape: mlDSAShape,
}

// mlDSAShape is that of OpenSSL with three signature schemes and a group more. Go's own
// ClientHello cannot be imitated without Go 1.27.
func mlDSAShape(t Target) *utls.ClientHelloSpec {
	spec := with(openSSLShape(t),
		groups(utls.X25519MLKEM768, utls.X25519, utls.CurveP256, utls.CurveP384),
		keyShares(utls.X25519MLKEM768, utls.X25519))
	for _, extension := range spec.Extensions {
		if s, ok := extension.(*utls.SignatureAlgorithmsExtension); ok {
			s.SupportedSignatureAlgorithms = slices.Concat([]utls.SignatureScheme{0x0904, 0x0905, 0x0906}, s.SupportedSignatureAlgorithms)
		}
	}
	return spec
}

const splitDelay = 100 * time.Millisecond

// A splitConn splits the first write, the ClientHello, into pieces.
type splitConn struct {
	net.Conn
	pieces int // 0: the first write is over
	delay  time.Duration
}

func (c *splitConn) Write(b []byte) (written int, err error) {
	pieces := min(c.pieces, len(b))
	c.pieces = 0
	for ; pieces > 1; pieces-- {
		n, err := c.Conn.Write(b[written : written+(len(b)-written)/pieces])
		written += n
		if err != nil {
			return written, err
		}
		time.Sleep(c.delay)
	}
	n, err := c.Conn.Write(b[written:])
	return written + n, err
}
