package smtpd

import (
	"net"
	"time"
)

// progress is how much of a message's text moves its deadline.
const progress = 32 << 10

// paced reads from conn and cuts off a sender that makes no progress: its
// deadline moves with each 32 KiB, not with each byte. Each write has a
// deadline of its own. A deadline's error is os.ErrDeadlineExceeded.
type paced struct {
	conn      net.Conn
	until     time.Time // no deadline for reading lies beyond
	step      time.Duration
	got       int
	writeTime time.Duration
}

// start sets the deadline for what comes next; with a step it moves on by
// that with progress.
func (p *paced) start(within, step time.Duration) {
	p.step, p.got = step, 0
	p.extend(within)
}

func (p *paced) extend(within time.Duration) {
	deadline := time.Now().Add(within)
	if deadline.After(p.until) {
		deadline = p.until
	}
	p.conn.SetReadDeadline(deadline)
}

// Read reads from the connection.
func (p *paced) Read(b []byte) (int, error) {
	n, err := p.conn.Read(b)
	p.got += n
	if p.step > 0 && p.got >= progress {
		p.got = 0
		p.extend(p.step)
	}
	return n, err
}

// Write writes to the connection.
func (p *paced) Write(b []byte) (int, error) {
	p.conn.SetWriteDeadline(time.Now().Add(p.writeTime))
	return p.conn.Write(b)
}
