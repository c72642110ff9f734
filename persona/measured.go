package persona

import (
	"fmt"
	"net"
)

// maxBytes bounds what a server may send in one connection. A handshake with the
// largest certificate chain that crypto/tls takes has 256 KiB.
const maxBytes = 1 << 20

// A measured conn reads no more than maxBytes.
type measured struct {
	net.Conn
	read int
}

func (m *measured) Read(b []byte) (int, error) {
	if m.read >= maxBytes {
		return 0, fmt.Errorf("the server sent more than %d bytes", maxBytes)
	}
	n, err := m.Conn.Read(b[:min(len(b), maxBytes-m.read)])
	m.read += n
	return n, err
}
