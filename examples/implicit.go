// Package examples has servers with the gate of package sessionticket, a file each.
package examples

import (
	"crypto/tls"
	"io"
	"net"

	"postern/sessionticket"
)

// Implicit greets each client over TLS and closes.
func Implicit(listener net.Listener, config *tls.Config) error {
	gate := new(sessionticket.Gate)
	listener = tls.NewListener(gate.Listener(listener), gate.Config(config))
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			io.WriteString(conn, "hello\n")
		}()
	}
}
