package smtpd

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/admission"
	"postern/internal/front"
	"postern/internal/smtp"
	"postern/internal/testsmtp"
)

// A sender that reads no reply before it has sent everything gets the reply all the same: it
// would try again for days after a reset.
func TestRepliesSurviveWhatTheSenderStillSends(t *testing.T) {
	const size = 100_000
	text := func(n int) string { return strings.Repeat(strings.Repeat("x", 98)+"\r\n", n*size/100) }
	inMessage := strings.TrimSuffix(toText, "\n> DATA\n< 250 *\n< 250 *\n< 354 *") + "\n< 250 *\n< 250 *"
	for name, test := range map[string]struct{ begin, send, want, end string }{
		"twice the message size":    {toText, text(2) + ".\r\n", "< 552 5.3.4 *\n> QUIT\n< 221 *", "quit"},
		"five times":                {toText, text(5) + ".\r\n", "< 552 5.3.4 *\nCLOSED", "sender kept sending refused message"},
		"one chunk":                 {inMessage, fmt.Sprintf("BDAT %d LAST\r\n", 5*size) + text(5), "< 552 5.3.4 *\nCLOSED", "sender kept sending refused message"},
		"a chunk at the wrong time": {"< 220 *\n> EHLO a\n< 250 *", fmt.Sprintf("BDAT %d LAST\r\n", 5*size) + text(5), "< 503 5.5.1 *\nCLOSED", "sender kept sending refused message"},
		"a chunk without a size":    {inMessage, "BDAT LAST\r\n" + text(4), "< 501 5.5.4 *\nCLOSED", "bad BDAT"},
		"a bare LF in a long text":  {toText, "a\n.\r\n" + text(4), "< 550 5.6.0 *\nCLOSED", "message refused: smtp: LF without CR in message"},
		"an endless command":        {"< 220 *", strings.Repeat("x", 4*size), "< 500 5.5.2 *\nCLOSED", "command too long"},
		"a web form":                {"< 220 *", "POST / HTTP/1.1\r\n" + text(4), "< 421 4.7.0 *\nCLOSED", "HTTP request"},
		"too many errors at once":   {"< 220 *", strings.Repeat("NONSENSE\r\n", 4*size/10), strings.Repeat("< 500 *\n", 21) + "< 421 4.7.0 *\nCLOSED", "too many errors"},
		"a message after too many":  {"< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *\n> x\n> .\n< 250 *", "MAIL FROM:<>\r\n" + text(4), "< 421 4.7.0 *\nCLOSED", "421 4.7.0 too many messages in one session; reconnect for more"},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", name, secure), func(t *testing.T) {
				t.Parallel()
				s := startServer(t, func(set *Settings, _ *memoryHop) {
					set.Limits.MessageSize, set.Limits.Messages, set.Limits.CommandLine = size, 1, 1000
				})
				c := s.dial(t)
				begin := test.begin
				if secure {
					c.play("< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 220 *\nTLS")
					begin = strings.TrimPrefix(begin, "< 220 *")
				}
				c.play(begin)
				c.send(test.send)
				c.play(test.want)
				c.Conn.Close()
				if r := s.result(); r.End != test.end {
					t.Errorf("the session ended with %q, %v", r.End, r.Err)
				}
			})
		}
	}
}

// halfConn is a pipe whose sending side can be closed alone, as that of TCP.
type halfConn struct{ net.Conn }

func (c halfConn) CloseWrite() error { return nil }

// A sender that is refused and then stays, silent or not, is disconnected soon.
func TestLingeringEnds(t *testing.T) {
	const web, nonsense = "> GET / HTTP/1.1\n< 421 4.7.0 *", "> NONSENSE\n< 500 *\n"
	for _, test := range []struct {
		said          string
		pause, within time.Duration
	}{
		{web, 10 * time.Second, 5 * time.Second},
		{web, time.Second, time.Minute},
		{strings.Repeat(nonsense, 21) + "< 421 4.7.0 *", 10 * time.Second, 5 * time.Second},
		{"> EHLO a\n< 250 *\n> MAIL FROM:<>\n< 421 4.7.0 *", 10 * time.Second, 5 * time.Second},
		{"> BDAT x\n< 501 *", 10 * time.Second, 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPipeServer(t, Limits{})
			p.hop.replies = map[string]smtp.Reply{"MAIL": smtp.NewReply(421, "4.7.0", "next hop shutting down")}
			ours, theirs := net.Pipe()
			p.start(halfConn{ours}, false)
			c := &client{testsmtp.New(theirs), t}
			c.play("< 220 *\n" + test.said)
			began := time.Now()
			defer trickle(c, "x", test.pause)()
			io.Copy(io.Discard, c.Conn)
			if took := time.Since(began); took != test.within {
				t.Errorf("a byte every %v: disconnected after %v", test.pause, took)
			}
		})
	}
}

// A sender that goes on is disconnected after as much as four messages of the maximum size, and its
// session's result says so, unless there is something else to say.
func TestLingeringReadsFourMessagesAtMost(t *testing.T) {
	for name, test := range map[string]struct {
		protocol front.Protocol
		said     string
		sends    int
		within   time.Duration
		err      error
	}{
		"almost":          {front.ProxyProtocol, "> GET / HTTP/1.1", 3999, 5 * time.Second, nil},
		"four":            {front.ProxyProtocol, "> GET / HTTP/1.1", 4000, 0, errEndless},
		"without XCLIENT": {front.XClient, "> EHLO a\n< 250 *\n> MAIL FROM:<>", 4000, 0, errNoXClient},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPipeServer(t, Limits{MessageSize: 1000})
			c := p.connectTo(t, test.protocol, "10.0.0.1", false)
			if test.protocol == front.ProxyProtocol {
				c.send(header)
			}
			c.play("< 220 *\n" + test.said + "\n< 421 *")
			c.send(strings.Repeat("x", test.sends))
			began := time.Now()
			c.play("CLOSED")
			if r, took := p.ended(), time.Since(began); took != test.within || r.Err != test.err {
				t.Errorf("%s: after %v the result is %+v", name, took, r)
			}
		})
	}
}

// A client over a limit that talks before it has read the reply, as some do, is not reset, which
// could overtake the reply. Only so many may stay, and not for long.
func TestClientsThatAreTurnedAwayAreReadFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{Quotas: admission.Quotas{Total: admission.Quota{Connections: 1}}})
		connect := func(want string) *client {
			ours, theirs := net.Pipe()
			go p.start(halfConn{ours}, false)
			c := &client{testsmtp.New(theirs), t}
			c.play(want)
			return c
		}
		first := connect("< 220 *")
		began := time.Now()
		stay := connect("< 421 4.3.2 *\n> EHLO a")
		connect("< 421 4.3.2 *").send(strings.Repeat("x", 64<<10))
		synctest.Wait() // the second of them has sent too much
		for range 63 {
			connect("< 421 4.3.2 *\n> QUIT")
		}
		connect("< 421 4.3.2 *\nCLOSED")
		if took := time.Since(began); took != 0 {
			t.Errorf("one too many stays for %v", took)
		}
		stay.play("CLOSED")
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("a silent one stays for %v", took)
		}
		synctest.Wait()
		if n := p.turnedAway.Load(); n != 0 {
			t.Errorf("%d are left", n)
		}
		first.Close()
	})
}

// Where a client expects TLS, the server has nothing to say in plaintext.
func TestClientsThatExpectTLSAreTurnedAwayInSilence(t *testing.T) {
	one := func(q admission.Quota) Limits { return Limits{Quotas: admission.Quotas{Total: q}} }
	for end, limits := range map[string]Limits{
		"TLS not offered":         {},
		"too many TLS handshakes": one(admission.Quota{Starts: 0.1}),
		"too many connections":    one(admission.Quota{Connections: 1}),
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPipeServer(t, limits)
			if end == "TLS not offered" {
				p.Apply(Settings{Hostname: "mx.example.org"})
			}
			var last *client
			for range 2 {
				ours, theirs := net.Pipe()
				p.start(ours, true)
				synctest.Wait()
				last = &client{testsmtp.New(theirs), t}
				defer last.Close()
			}
			last.play("CLOSED")
			if r := p.ended(); r.End != end || r.Refused+r.Deferred > 0 || (r.Limit == nil) != (end == "TLS not offered") {
				t.Errorf("the result is %+v, want %q", r, end)
			}
		})
	}
}

// Shutdown does not wait for a sender that was refused already.
func TestShutdownEndsLingering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{})
		ours, theirs := net.Pipe()
		p.start(halfConn{ours}, false)
		c := &client{testsmtp.New(theirs), t}
		c.play("< 220 *\n> GET / HTTP/1.1\n< 421 4.7.0 *")
		synctest.Wait()
		began := time.Now()
		if err := p.Shutdown(t.Context()); err != nil || time.Since(began) != 0 {
			t.Errorf("%v, after %v", err, time.Since(began))
		}
		c.play("CLOSED")
		if r := p.ended(); r.Err != nil {
			t.Errorf("the result is %+v", r)
		}
	})
}
