package load

import (
	"bytes"
	"crypto/tls"

	"postern/internal/tlsrecord"
)

// A Hold is what a stranger leaves unfinished, to make a server hold memory for it.
type Hold int

// The holds, each as large as the server takes without an answer.
const (
	LongHello   Hold = iota // 59,000 bytes of a longer ClientHello
	ShortHello              // 4,000 bytes of one: as many may be open as there may be connections
	Record                  // a record of 16 KiB after the handshake, but for its last byte
	CommandLine             // 2,000 bytes of a command, after the handshake
)

// String returns what is left unfinished.
func (h Hold) String() string {
	return [...]string{
		LongHello:   "ClientHello, 59,000 bytes of it",
		ShortHello:  "ClientHello, 4,000 bytes of it",
		Record:      "record of 16 KiB over TLS",
		CommandLine: "command of 2,000 bytes over TLS",
	}[h]
}

// Open opens a connection and leaves it like that. The server may have closed it.
func (h Hold) Open(l Load) (*Conn, error) {
	overTLS := h == Record || h == CommandLine
	if !overTLS {
		l.Certificate = nil
	}
	c, err := l.Dial()
	if err != nil {
		return nil, err
	}
	if !overTLS {
		if err := c.command("STARTTLS", 220); err != nil {
			return nil, err
		}
	}
	switch h {
	case LongHello:
		c.write(hello(59)) // its end may meet a closed connection
	case ShortHello:
		c.write(hello(4))
	case Record:
		body := make([]byte, tlsrecord.MaxPlaintext-1)
		_, err = c.conn.(*tls.Conn).NetConn().Write(append(tlsrecord.AppendHeader(nil, tlsrecord.ApplicationData, tlsrecord.MaxPlaintext), body...))
	case CommandLine:
		err = c.write(bytes.Repeat([]byte("x"), 2000))
	}
	return c, err
}

// hello returns so many records of 995 bytes with the begin of a ClientHello of 60 KiB.
func hello(records int) []byte {
	const each = 995
	body := make([]byte, records*each)
	copy(body, []byte{1, 0, 0xf0, 0})
	var b []byte
	for i := range records {
		b = append(tlsrecord.AppendHeader(b, tlsrecord.Handshake, each), body[i*each:(i+1)*each]...)
	}
	return b
}
