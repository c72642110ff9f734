package keylog_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/handshake"
	"postern/handshake/keylog"
)

// A tap keeps what passes on a connection of a client or a server.
type tap struct {
	net.Conn
	own, peer handshake.Side
	mu        sync.Mutex
	passed    []passage
}

type passage struct {
	from  handshake.Side
	bytes []byte
}

func (c *tap) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.keep(c.peer, b[:n])
	return n, err
}

func (c *tap) Write(b []byte) (int, error) {
	c.keep(c.own, b)
	return c.Conn.Write(b)
}

func (c *tap) keep(from handshake.Side, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed = append(c.passed, passage{from, append([]byte(nil), b...)})
}

// transcript plays what has passed to a recorder that has keys.
func (c *tap) transcript(keys *keylog.Log) *handshake.Transcript {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := time.Now()
	r := handshake.NewRecorder(handshake.OnWire, start)
	r.UseKeys(keys)
	for _, p := range c.passed {
		r.Feed(p.from, p.bytes, start)
	}
	return r.Transcript()
}

// told is what a transcript says was said, without ChangeCipherSpec: a line for
// what a side sent without an answer. Types that were not read, but told by order
// and size, have a question mark.
func told(t *handshake.Transcript) string {
	var b strings.Builder
	var last handshake.Side
	for _, m := range t.Messages {
		if m.Type == handshake.ChangeCipherSpec {
			continue
		}
		if m.From != last {
			fmt.Fprintf(&b, "\n%s: ", m.From)
			last = m.From
		}
		b.WriteString(m.Type.String())
		if m.Inferred {
			b.WriteString("?")
		}
		b.WriteString(" ")
	}
	return strings.ReplaceAll(strings.TrimSpace(b.String()), " \n", "\n")
}

func check(t *testing.T, got *handshake.Transcript, want ...string) {
	t.Helper()
	if text, want := told(got), strings.Join(want, "\n"); text != want {
		t.Errorf("the transcript says\n%s\nwant\n%s", text, want)
	}
}
