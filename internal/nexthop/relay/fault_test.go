package relay

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"postern/internal/nexthop"
)

// What a server can do wrong, as lines of a script. What follows is a good
// server again, if the connection still stands.
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

// The steps of the dialogue, each up to where the server's reply is due.
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

// The story: at this step the server does this, and the sender hears that.
// Where nothing is told of a step, the sender has no reason to go there.
var story = []struct{ at, fault, hears string }{
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

func TestStoryIsWhole(t *testing.T) {
	if len(story) != len(steps)*len(faults) {
		t.Errorf("%d fates of %d steps with %d faults each", len(story), len(steps), len(faults))
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range story {
		t.Run(tt.at+" "+tt.fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				heard, b := suffer(t, tt.at, tt.fault, "< 250 backend")
				if heard != tt.hears {
					t.Errorf("sender heard %s\nwant %s", heard, tt.hears)
				}
				b.balance(heard)
			})
		})
	}
}

// TestFaultsInPipeline has the same story, but RCPT is on its way when MAIL is
// answered: so a server that goes on answers it itself.
func TestFaultsInPipeline(t *testing.T) {
	for _, tt := range story {
		if tt.at == "MAIL" && (tt.fault == "4xx" || tt.fault == "5xx") {
			first, _, _ := strings.Cut(tt.hears, ",")
			tt.hears = first + ", RCPT 503 5.5.1"
		}
		t.Run(tt.at+" "+tt.fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				heard, b := suffer(t, tt.at, tt.fault, "< 250-backend\n< 250 PIPELINING")
				if heard != tt.hears {
					t.Errorf("sender heard %s\nwant %s", heard, tt.hears)
				}
				b.balance(heard)
			})
		})
	}
}

// suffer sends a message to a server that does wrong, and then another one,
// which must always arrive.
func suffer(t *testing.T, at, fault, offer string) (heard string, b *backend) {
	script := strings.Replace(steps[at], "OFFER", offer, 1) + "\n" + faults[fault]
	b = newBackend(t, script)
	s := b.hop("smtp://mail.test").Open(someSender)
	heard = deliver(s, someText)
	if next := deliver(s, "Subject: next\r\n\r\n"); next != delivered {
		t.Errorf("the next message: %s", next)
	}
	s.Close()
	b.wait()
	return heard, b
}

// balance checks the books: the server has the message that the sender was told
// it has, and the next one.
func (b *backend) balance(heard string) {
	want := 1
	if strings.Contains(heard, "end 250") {
		want = 2
	}
	if len(b.taken) != want {
		b.t.Errorf("server has %d messages, want %d: %q", len(b.taken), want, b.taken)
	}
}

func TestNoConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		dial  func(context.Context, string, string) (net.Conn, error)
		hears string
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
				if heard := deliver(s, someText); heard != tt.hears {
					t.Errorf("sender heard %s\nwant %s", heard, tt.hears)
				}
			})
		})
	}
}

// TestTroubleIsTold checks what the sender reads and what the log says.
func TestTroubleIsTold(t *testing.T) {
	b := newBackend(t, "< 220 ready\n> EHLO *\n< 250 backend\n> MAIL *\n< 250 ok\n> RCPT *\nclose")
	log := &lines{}
	hop := b.hop("smtp://mail.test")
	hop.log = log.logger(hop)
	s := hop.Open(someSender)
	answers := []nexthop.Answer{s.Mail(someMail), s.Rcpt(someRcpt)}
	answers[0]()
	if got, want := answers[1]().String(), "451 4.4.2 connection to the next hop was lost (id 7Q2F)"; got != want {
		t.Errorf("reply %q, want %q", got, want)
	}
	s.Close()
	b.wait()
	want := `level=WARN msg="next hop failed" nexthop=smtp://mail.test:25 step=RCPT err=EOF session=7Q2F` + "\n"
	if log.String() != want {
		t.Errorf("log: %s\nwant %s", log, want)
	}
}
