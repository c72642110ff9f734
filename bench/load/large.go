package load

import (
	"bytes"
	"strings"
)

// largeLine is what a large message consists of.
var largeLine = strings.Repeat("z", 74) + "\r\n"

// SendLarge sends one message of about size bytes over a connection of its own.
func (l Load) SendLarge(size int) error {
	c, err := l.Dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.envelope(); err != nil {
		return err
	}
	if err := c.write([]byte("Subject: a large message\r\n\r\n")); err != nil {
		return err
	}
	piece := bytes.Repeat([]byte(largeLine), 16<<10/len(largeLine))
	for sent := 0; sent < size; sent += len(piece) {
		if err := c.write(piece); err != nil {
			return err
		}
	}
	if err := c.command(".", 250); err != nil {
		return err
	}
	return c.quit()
}
