package relay

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/nexthop"
)

// faults are what a server can do wrong, as lines of a script. Afterwards it behaves,
// if the connection is still open.
var faults = map[string]string{
	"closes":   "close",
	"hangs":    "hang",
	"half":     "<- 25\nclose",
	"nonsense": "< hello, what?\nhang",
	"turn":     "< 334 tell me more\nhang",
	"4xx":      "< 450 4.2.1 not now\nserve",
	"5xx":      "< 554 5.7.1 never\nserve",
	"421":      "< 421 4.3.2 going down\nclose",
}

// steps are those of the conversation, each up to where the server's reply is due.
var steps = map[string]string{
	"greeting": "",
	"EHLO": `
		< 220 backend ready
		> EHLO front.test`,
	"MAIL": `
		< 220 backend ready
		> EHLO front.test
		OFFER
		> MAIL *`,
	"RCPT": `
		< 220 backend ready
		> EHLO front.test
		OFFER
		> MAIL *
		< 250 2.1.0 ok
		> RCPT *`,
	"DATA": `
		< 220 backend ready
		> EHLO front.test
		OFFER
		> MAIL *
		< 250 2.1.0 ok
		> RCPT *
		< 250 2.1.5 ok
		> DATA`,
	"end": `
		< 220 backend ready
		> EHLO front.test
		OFFER
		> MAIL *
		< 250 2.1.0 ok
		> RCPT *
		< 250 2.1.5 ok
		> DATA
		< 354 go on
		text`,
}

// faultTable has the replies that the sender gets for each fault at each step. Steps
// that it has no reason to take are left out.
var faultTable = []struct{ at, fault, replies string }{
	{"greeting", "closes", "MAIL 451 4.4.2, RCPT 451 4.4.2"},
	{"greeting", "hangs", "MAIL 451 4.4.1, RCPT 451 4.4.1"},
	{"greeting", "half", "MAIL 451 4.4.2, RCPT 451 4.4.2"},
	{"greeting", "nonsense", "MAIL 451 4.5.0, RCPT 451 4.5.0"},
	{"greeting", "turn", "MAIL 451 4.5.0, RCPT 451 4.5.0"},
	{"greeting", "4xx", "MAIL 450 4.2.1, RCPT 450 4.2.1"},
	{"greeting", "5xx", "MAIL 451 4.3.0, RCPT 451 4.3.0"},
	{"greeting", "421", "MAIL 421 4.3.2, RCPT 421 4.3.2"},

	{"EHLO", "closes", "MAIL 451 4.4.2, RCPT 451 4.4.2"},
	{"EHLO", "hangs", "MAIL 451 4.4.1, RCPT 451 4.4.1"},
	{"EHLO", "half", "MAIL 451 4.4.2, RCPT 451 4.4.2"},
	{"EHLO", "nonsense", "MAIL 451 4.5.0, RCPT 451 4.5.0"},
	{"EHLO", "turn", "MAIL 451 4.5.0, RCPT 451 4.5.0"},
	{"EHLO", "4xx", "MAIL 450 4.2.1, RCPT 450 4.2.1"},
	{"EHLO", "5xx", "MAIL 250, RCPT 250, DATA 354, end 250"}, // it knows HELO
	{"EHLO", "421", "MAIL 421 4.3.2, RCPT 421 4.3.2"},

	{"MAIL", "closes", "MAIL 451 4.4.2, RCPT 451 4.4.2"},
	{"MAIL", "hangs", "MAIL 451 4.4.1, RCPT 451 4.4.1"},
	{"MAIL", "half", "MAIL 451 4.4.2, RCPT 451 4.4.2"},
	{"MAIL", "nonsense", "MAIL 451 4.5.0, RCPT 451 4.5.0"},
	{"MAIL", "turn", "MAIL 451 4.5.0, RCPT 451 4.5.0"},
	{"MAIL", "4xx", "MAIL 450 4.2.1, RCPT 450 4.2.1"},
	{"MAIL", "5xx", "MAIL 554 5.7.1, RCPT 554 5.7.1"},
	{"MAIL", "421", "MAIL 421 4.3.2, RCPT 421 4.3.2"},

	{"RCPT", "closes", "MAIL 250, RCPT 451 4.4.2"},
	{"RCPT", "hangs", "MAIL 250, RCPT 451 4.4.1"},
	{"RCPT", "half", "MAIL 250, RCPT 451 4.4.2"},
	{"RCPT", "nonsense", "MAIL 250, RCPT 451 4.5.0"},
	{"RCPT", "turn", "MAIL 250, RCPT 451 4.5.0"},
	{"RCPT", "4xx", "MAIL 250, RCPT 450 4.2.1"},
	{"RCPT", "5xx", "MAIL 250, RCPT 554 5.7.1"},
	{"RCPT", "421", "MAIL 250, RCPT 421 4.3.2"},

	{"DATA", "closes", "MAIL 250, RCPT 250, DATA 451 4.4.2"},
	{"DATA", "hangs", "MAIL 250, RCPT 250, DATA 451 4.4.1"},
	{"DATA", "half", "MAIL 250, RCPT 250, DATA 451 4.4.2"},
	{"DATA", "nonsense", "MAIL 250, RCPT 250, DATA 451 4.5.0"},
	{"DATA", "turn", "MAIL 250, RCPT 250, DATA 451 4.5.0"},
	{"DATA", "4xx", "MAIL 250, RCPT 250, DATA 450 4.2.1"},
	{"DATA", "5xx", "MAIL 250, RCPT 250, DATA 554 5.7.1"},
	{"DATA", "421", "MAIL 250, RCPT 250, DATA 421 4.3.2"},

	{"end", "closes", "MAIL 250, RCPT 250, DATA 354, end 451 4.4.2"},
	{"end", "hangs", "MAIL 250, RCPT 250, DATA 354, end 451 4.4.1"},
	{"end", "half", "MAIL 250, RCPT 250, DATA 354, end 451 4.4.2"},
	{"end", "nonsense", "MAIL 250, RCPT 250, DATA 354, end 451 4.5.0"},
	{"end", "turn", "MAIL 250, RCPT 250, DATA 354, end 451 4.5.0"},
	{"end", "4xx", "MAIL 250, RCPT 250, DATA 354, end 450 4.2.1"},
	{"end", "5xx", "MAIL 250, RCPT 250, DATA 354, end 554 5.7.1"},
	{"end", "421", "MAIL 250, RCPT 250, DATA 354, end 421 4.3.2"},
}

func TestFaultTableIsComplete(t *testing.T) {
	if len(faultTable) != len(steps)*len(faults) {
		t.Errorf("%d entries for %d steps with %d faults each", len(faultTable), len(steps), len(faults))
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range faultTable {
		t.Run(tt.at+" "+tt.fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				replies, b := deliverToFaulty(t, tt.at, tt.fault, "< 250 backend")
				if replies != tt.replies {
					t.Errorf("replies %s\nwant %s", replies, tt.replies)
				}
				b.checkMessages(replies)
			})
		})
	}
}

// TestFaultsWithPipelining uses the same table, but RCPT is already sent when the
// reply to MAIL comes, so that a server that goes on replies to it too.
func TestFaultsWithPipelining(t *testing.T) {
	for _, tt := range faultTable {
		if tt.at == "MAIL" && (tt.fault == "4xx" || tt.fault == "5xx") {
			first, _, _ := strings.Cut(tt.replies, ",")
			tt.replies = first + ", RCPT 503 5.5.1"
		}
		t.Run(tt.at+" "+tt.fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				replies, b := deliverToFaulty(t, tt.at, tt.fault, "< 250-backend\n< 250 PIPELINING")
				if replies != tt.replies {
					t.Errorf("replies %s\nwant %s", replies, tt.replies)
				}
				b.checkMessages(replies)
			})
		})
	}
}

// deliverToFaulty sends a message to a server with a fault, and then another one,
// which must always arrive.
func deliverToFaulty(t *testing.T, at, fault, offer string) (replies string, b *backend) {
	script := strings.Replace(steps[at], "OFFER", offer, 1) + "\n" + faults[fault]
	b = newBackend(t, script)
	s := b.hop("smtp://mail.test").Open(someSender)
	replies = deliver(s, someText)
	if next := deliver(s, "Subject: next\r\n\r\n"); next != delivered {
		t.Errorf("the next message: %s", next)
	}
	b.end(s)
	return replies, b
}

// The sender waits as long as the server may take, and the end of the text takes longest.
func TestHowLongAServerMayTake(t *testing.T) {
	for at, want := range map[string]time.Duration{
		"greeting": 2 * time.Minute, "EHLO": 2 * time.Minute, "MAIL": 2 * time.Minute, "RCPT": 2 * time.Minute, "DATA": 2 * time.Minute,
		"end": 10 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend(t, strings.Replace(steps[at], "OFFER", "< 250 backend", 1)+"\nhang")
			s := b.hop("smtp://mail.test").Open(someSender)
			start := time.Now()
			replies := deliver(s, someText)
			if waited := time.Since(start).Round(time.Second); waited != want || !strings.HasSuffix(replies, "451 4.4.1") {
				t.Errorf("%s: waited %v, want %v, and replied %s", at, waited, want, replies)
			}
			b.end(s)
		})
	}
}

// A server that takes a while for each recipient may do so for many, also if they came together.
func TestEachPipelinedReplyHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, `
			< 220 ready
			> EHLO *
			< 250-backend
			< 250 PIPELINING
			> MAIL *
			> RCPT *
			> RCPT *
			wait 90s
			< 250 ok
			wait 90s
			< 250 ok
			wait 90s
			< 250 ok
			serve`)
		s := b.hop("smtp://mail.test").Open(someSender)
		if replies := deliverTo(s, someMail, someRcpt, someRcpt); replies != "MAIL 250, RCPT 250, RCPT 250" {
			t.Errorf("replies %s", replies)
		}
		b.end(s)
	})
}

// The time for the end of a text is not left for the next message's commands, which a server
// may not even read.
func TestEachMessageHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, firstMessage+"stall")
		s := b.hop("smtp://mail.test").Open(someSender)
		checkDeliver(t, s, delivered)
		start := time.Now()
		replies := deliver(s, someText)
		if waited := time.Since(start).Round(time.Second); waited != 2*time.Minute || !strings.HasPrefix(replies, "MAIL 451 4.4.1") {
			t.Errorf("waited %v, want two minutes, and replied %s", waited, replies)
		}
		b.end(s)
	})
}

// checkMessages checks that the server has the message if the sender was told so,
// and the next one.
func (b *backend) checkMessages(replies string) {
	want := 1
	if strings.Contains(replies, "end 250") {
		want = 2
	}
	if len(b.taken) != want {
		b.t.Errorf("server has %d messages, want %d: %q", len(b.taken), want, b.taken)
	}
}

func TestNoConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		dial    func(context.Context, string, string) (net.Conn, error)
		replies string
	}{
		"refused": {func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("connection refused")
		}, "MAIL 451 4.4.1, RCPT 451 4.4.1"},
		"no answer": {func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, "MAIL 451 4.4.1, RCPT 451 4.4.1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := mustParse(t, "smtp://mail.test")
				config.Dial = tt.dial
				s := New(config, "front.test", nil).Open(someSender)
				defer s.Close()
				checkDeliver(t, s, tt.replies)
			})
		})
	}
}

// TestFailureIsRepliedAndLogged: the reply does not say more than the sender needs.
func TestFailureIsRepliedAndLogged(t *testing.T) {
	b := newBackend(t, "< 220 ready\n> EHLO *\n< 250 backend\n> MAIL *\n< 250 ok\n> RCPT *\nclose")
	log := &lines{}
	hop := b.hop("smtp://mail.test")
	hop.log = log.logger(hop)
	s := hop.Open(someSender)
	answers := []nexthop.Answer{s.Mail(someMail), s.Rcpt(someRcpt)}
	answers[0]()
	if got, want := answers[1]().String(), "451 4.4.2 lost connection to the next hop (id 7Q2F)"; got != want {
		t.Errorf("reply %q, want %q", got, want)
	}
	b.end(s)
	want := `level=WARN msg="next hop failed" nexthop=smtp://mail.test:25 step=RCPT err=EOF session=7Q2F` + "\n"
	if log.String() != want {
		t.Errorf("log: %s\nwant %s", log, want)
	}
}

// A writeDeadline reports each Read that ends after the deadline for writes.
type writeDeadline struct {
	net.Conn
	t  *testing.T
	at time.Time
}

func (c *writeDeadline) SetDeadline(at time.Time) error {
	c.at = at
	return c.Conn.SetDeadline(at)
}

func (c *writeDeadline) SetWriteDeadline(at time.Time) error {
	c.at = at
	return c.Conn.SetWriteDeadline(at)
}

func (c *writeDeadline) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if time.Now().After(c.at) {
		c.t.Errorf("at %q nothing could be written any more", b[:n])
	}
	return n, err
}

// TLS answers a server's KeyUpdate while it waits for a reply. If it cannot, the reply is lost.
func TestAConnectionCanBeWrittenWhileTheServerTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, `
			< 220 ready
			> EHLO *
			< 250-backend
			< 250 PIPELINING
			> MAIL *
			> RCPT *
			wait 90s
			< 250 ok
			wait 90s
			< 250 ok
			> DATA
			< 354 go on
			text
			wait 9m
			< 250 taken
			serve`)
		b.wire = func(c net.Conn) net.Conn { return &writeDeadline{Conn: c, t: t} }
		s := b.hop("smtp://mail.test").Open(someSender)
		checkDeliver(t, s, delivered)
		b.end(s)
	})
}
