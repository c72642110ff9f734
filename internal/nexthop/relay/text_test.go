package relay

import (
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"postern/internal/nexthop"
)

const upToText = `
	< 220 backend ready
	> EHLO *
	< 250 backend
	> MAIL *
	< 250 ok
	> RCPT *
	< 250 ok
	> DATA
	< 354 go on
`

// endless returns a text of n bytes.
func endless(n int64) io.Reader {
	line := strings.Repeat("x", 76) + "\r\n"
	return io.LimitReader(&repeater{line: line}, n/int64(len(line))*int64(len(line)))
}

type repeater struct {
	line string
	at   int
}

func (r *repeater) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		c := copy(p[n:], r.line[r.at:])
		n += c
		r.at = (r.at + c) % len(r.line)
	}
	return n, nil
}

// begin brings a session up to the reply 354.
func begin(t *testing.T, s nexthop.Session) {
	t.Helper()
	for _, answer := range []nexthop.Answer{s.Mail(someMail), s.Rcpt(someRcpt), s.Data()} {
		if reply := answer(); reply.Permanent() || reply.Transient() {
			t.Fatalf("message cannot begin: %s", reply)
		}
	}
}

func TestServerFailsDuringText(t *testing.T) {
	for name, tt := range map[string]struct{ script, replies string }{
		"closes":          {"some 100000\nclose", "end 451 4.4.2"},
		"stops reading":   {"some 100000\nstall", "end 451 4.4.1"},
		"reads not a bit": {"stall", "end 451 4.4.1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend(t, upToText+tt.script)
				s := b.hop("smtp://mail.test").Open(someSender)
				begin(t, s)
				if replies := brief("end", s.Send(endless(1<<20))); replies != tt.replies {
					t.Errorf("replies %s, want %s", replies, tt.replies)
				}
				checkDeliver(t, s, delivered)
				b.end(s)
			})
		})
	}
}

// TestServerRefusesDuringText: a server may reply and close before the text ends.
func TestServerRefusesDuringText(t *testing.T) {
	for words, want := range map[string]string{
		"< 552 5.3.4 too large":      "end 552 5.3.4",
		"< 452 4.3.1 disk full":      "end 452 4.3.1",
		"< 421 4.3.2 going down":     "end 421 4.3.2",
		"< 250 2.0.0 taken, I guess": "end 451 4.4.2",
		"< what?":                    "end 451 4.4.2",
	} {
		t.Run(words, func(t *testing.T) {
			b := newBackend(t, upToText+"some 1000\n"+words+"\nshut")
			s := b.hopTCP("smtp://mail.test").Open(someSender)
			begin(t, s)
			if replies := brief("end", s.Send(endless(64<<20))); replies != want {
				t.Errorf("replies %s, want %s", replies, want)
			}
			b.end(s)
		})
	}
}

func TestIncompleteTextIsNotEnded(t *testing.T) {
	var wire sync.Map // what reached the server
	b := newBackend(t, upToText+"rest")
	b.rest = func(text string) { wire.Store("text", text) }
	s := b.hop("smtp://mail.test").Open(someSender)
	begin(t, s)
	broken := io.MultiReader(strings.NewReader("Subject: a\r\n\r\nhalf a line"), iotest.ErrReader(errors.New("sender gone")))
	if reply := s.Send(broken); reply.String() != "451 4.4.2 message incomplete" {
		t.Errorf("broken text: %s", reply)
	}
	checkDeliver(t, s, delivered) // on another connection
	b.end(s)
	if text, _ := wire.Load("text"); text != "" && text != "Subject: a\r\n\r\nhalf a line" {
		t.Errorf("server saw %q, want no more than the text", text)
	}
}

// writesOf records the writes to a connection.
type writesOf struct {
	net.Conn
	writes *[]string
}

func (w writesOf) Write(p []byte) (int, error) {
	*w.writes = append(*w.writes, string(p))
	return w.Conn.Write(p)
}

func TestCommandsAndTextShareWrites(t *testing.T) {
	var writes []string
	b := newBackend(t)
	b.offers = []string{"PIPELINING"}
	b.wire = func(c net.Conn) net.Conn { return writesOf{c, &writes} }
	s := b.hopTCP("smtp://mail.test").Open(someSender)
	trace := strings.NewReader("Received: from x\r\n")
	begin(t, s)
	if reply := s.Send(io.MultiReader(trace, iotest.OneByteReader(strings.NewReader(someText)))); !reply.Positive() {
		t.Error(reply)
	}
	b.end(s)
	want := []string{
		"EHLO front.test\r\n",
		"MAIL FROM:<alice@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n",
		"Received: from x\r\nSubject: hello\r\n\r\n..hidden dot\r\n.\r\n",
		"QUIT\r\n",
	}
	if got := strings.Join(writes, "|"); got != strings.Join(want, "|") {
		t.Errorf("writes:\n%q\nwant\n%q", writes, want)
	}
}

// TestSlowTextIsFlushed: if the sender sends a line a minute, the server must not
// wait for a full buffer.
func TestSlowTextIsFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, upToText+"> one\n> two\nclose")
		s := b.hop("smtp://mail.test").Open(someSender)
		begin(t, s)
		reader, writer := io.Pipe()
		go func() {
			for _, line := range []string{"one\r\n", "two\r\n"} {
				time.Sleep(time.Minute)
				io.WriteString(writer, line)
			}
			b.wait() // the server has both, though more could come
			writer.Close()
		}()
		s.Send(reader)
		s.Close()
	})
}

func TestLargeTextNeedsLittleMemory(t *testing.T) {
	const size = 50 << 20
	b := newBackend(t, upToText+"discard\n< 250 2.0.0 taken\nserve")
	s := b.hopTCP("smtp://mail.test").Open(someSender)
	begin(t, s)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if reply := s.Send(endless(size)); !reply.Positive() {
		t.Error(reply)
	}
	runtime.ReadMemStats(&after)
	b.end(s)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<10 {
		t.Errorf("%d bytes allocated for a text of %d", grown, size)
	}
}
