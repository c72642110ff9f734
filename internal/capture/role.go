package capture

import (
	"bytes"

	"postern/handshake"
)

// unknown is the client's end before it is told.
const unknown = -1

// opener is the end of a connection that opened it, by a SYN of end i.
func opener(i int, syn *segment) int {
	if syn.acks { // the second of three (RFC 9293, Section 3.5)
		return 1 - i
	}
	return i
}

func (c *connection) side(i int) handshake.Side {
	if i == c.client {
		return handshake.Client
	}
	return handshake.Server
}

// guess tells which end is the client of a connection whose beginning was not
// captured, by what end i said first, else by the ports: servers have the lower one.
func (c *connection) guess(i int, said []byte) int {
	const hello, clientHello, serverHello = 22, 1, 2
	line, _, _ := bytes.Cut(said, []byte("\n"))
	switch {
	case len(said) > 5 && said[0] == hello && said[5] == clientHello, ofClient(line) != None:
		return i
	case len(said) > 5 && said[0] == hello && said[5] == serverHello, ofServer(line) != None:
		return 1 - i
	case c.ends[0].Port() < c.ends[1].Port():
		return 1
	}
	return 0
}
