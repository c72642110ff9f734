package load

import (
	"bytes"
	"crypto/tls"
	"strings"
	"time"
)

// A sender opens one connection after another and sends messages.
type sender struct {
	run    *run
	number int
	config *tls.Config
	text   *text

	connections, resumed int
	acknowledged         int             // messages, all of them
	counted              int             // messages acknowledged in the counted time
	latencies            []time.Duration // from MAIL to the last reply, of counted messages
	err                  error
}

func newSender(r *run, number int) *sender {
	s := &sender{run: r, number: number, text: newText(r.number, number)}
	if r.Certificate != nil {
		s.config = clientConfig(r.Load)
	}
	return s
}

func (s *sender) send() {
	for s.err == nil && s.run.again() {
		s.err = s.connection()
	}
	if s.err != nil {
		s.run.failed.Store(true)
	}
}

// connection opens a connection, sends its messages and closes it.
func (s *sender) connection() error {
	c, err := dial(s.run.Addr, s.config)
	if err != nil {
		return err
	}
	defer c.Close()
	s.connections++
	if c.Resumed() {
		s.resumed++
	}
	for i := range s.run.Messages {
		if s.run.over() {
			break
		}
		last := i == s.run.Messages-1
		if err := s.message(c, last); err != nil {
			return err
		}
		if last {
			return c.expect("QUIT", 221)
		}
	}
	return c.quit()
}

// message sends the next message, with QUIT if it is the last.
func (s *sender) message(c *Conn, last bool) error {
	s.text.next(s.acknowledged)
	begun := time.Now()
	if err := c.message(s.text.wire(last)); err != nil {
		return err
	}
	s.acknowledged++
	if now := time.Now(); !now.Before(s.run.from) && (s.run.Connections > 0 || now.Before(s.run.until)) {
		s.counted++
		s.latencies = append(s.latencies, now.Sub(begun))
	}
	return nil
}

// largeLine is repeated in a large message.
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
