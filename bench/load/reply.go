package load

import (
	"bytes"
	"fmt"
	"time"
)

// expect reads the reply to what was sent. Another code is an error that tells
// the server's words. PIPELINING is noted where the reply to EHLO has it.
func (c *Conn) expect(what string, code int) error {
	if err := c.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("reply to %s: %w", what, err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if !hasCode(line, code) {
			return fmt.Errorf("reply to %s: %q, want %d", what, line, code)
		}
		if len(line) == 3 || line[3] == ' ' {
			c.offers(line)
			return nil
		}
		c.offers(line)
	}
}

func (c *Conn) offers(line []byte) {
	c.pipelining = c.pipelining || len(line) > 4 && bytes.EqualFold(line[4:], []byte("PIPELINING"))
}

// hasCode reports whether a line of a reply begins with code (RFC 5321, Section 4.2.1).
func hasCode(line []byte, code int) bool {
	return len(line) >= 3 &&
		int(line[0]-'0')*100+int(line[1]-'0')*10+int(line[2]-'0') == code
}
