package persona_test

import (
	"bufio"
	"context"
	"io"
	"net"

	"postern/internal/persona"
)

// scripted is a server that says the first of replies at once, each other when it has
// heard a line, whatever that is, and closes at the line after the last.
func scripted(replies ...string) persona.Target {
	return played(func(conn net.Conn) {
		heard := bufio.NewScanner(conn)
		for _, reply := range replies {
			io.WriteString(conn, reply)
			if !heard.Scan() {
				return
			}
		}
	})
}

// played is a server that does as it is told with its end of a connection, and closes.
func played(serve func(net.Conn)) persona.Target {
	at := target("mx.test:25")
	at.Dial = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() { defer far.Close(); serve(far) }()
		return near, nil
	}
	return at
}
