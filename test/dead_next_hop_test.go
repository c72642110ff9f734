package test

import (
	"strings"
	"testing"

	"postern/internal/smtp"
	"postern/internal/testpeer"
	"postern/internal/testsmtp"
)

// faults are what a backend can do at any step, with the code of its reply if that is
// passed on to the sender.
var faults = []struct {
	name  string
	fault fault
	own   int
}{
	{"dies", fault{"", disconnect}, 0},
	{"resets the connection", fault{"", reset}, 0},
	{"hangs", fault{"", hang}, 0},
	{"dies within a reply", fault{"25", disconnect}, 0},
	{"dies between the lines of a reply", fault{"250-one\r\n", disconnect}, 0},
	{"hangs within a reply", fault{"250 o", hang}, 0},
	{"sends nonsense", fault{"\x00\xff bananas\r\n", hang}, 0},
	{"sends code 999", fault{"999 never\r\n", hang}, 0},
	{"sends two codes", fault{"250-one\r\n550 two\r\n", hang}, 0},
	{"sends a line without end", fault{"250 " + strings.Repeat("long ", 1<<18), hang}, 0},
	{"sends lines without end", fault{strings.Repeat("250-more\r\n", 1<<16), hang}, 0},
	{"sends 354 or 250 out of turn", fault{"", unexpected}, 0},
	{"sends 421 and dies", fault{"421 4.3.2 backend goes home\r\n", disconnect}, 421},
	{"refuses for now", fault{"451 4.7.1 backend says later\r\n", goOn}, 451},
	{"refuses for good", fault{"554 5.7.1 backend says never\r\n", goOn}, 554},
}

// Whatever the backend does, the sender gets a 4xx, or the backend's own refusal, and
// the next message is delivered once the backend works again.
func TestFaultyNextHopDefersMail(t *testing.T) {
	for _, at := range steps {
		for _, verb := range []string{"DATA", "BDAT"} {
			t.Run(string(at)+" with "+verb, func(t *testing.T) {
				t.Parallel()
				b := startBackend(t)
				p := start(t, shortTimeouts("smtp://"+b.addr)...)
				tr := trial{t, p, b, at, verb, newMessage("bad", badSize(at))}
				for _, m := range faults {
					tr.run(m.name, m.fault, m.own)
				}
			})
		}
	}
}

func TestUnreachableNextHopDefersMail(t *testing.T) {
	p := start(t, shortTimeouts("smtp://"+testpeer.FreeAddr(t))...)
	reply := p.deliver(t, newMessage("to nobody", 0))
	if reply.Code != 451 || reply.Enhanced() != "4.4.1" {
		t.Errorf("reply %q, want 451 4.4.1", reply)
	}
}

// A trial is one step of the conversation at which backend b fails.
type trial struct {
	t    *testing.T
	p    *postern
	b    *backend
	at   step
	verb string           // DATA or BDAT
	bad  testsmtp.Message // sent while the backend fails
}

// run sends a message to a backend with a fault, and then one to the same backend without
// it, in the same session if that is still open.
func (tr trial) run(what string, m fault, own int) {
	tr.t.Helper()
	tr.b.setFault(tr.at, m)
	c := tr.connect()
	defer func() { c.Close() }()
	reply := tr.send(c, tr.bad)
	tr.checkRefused(what, reply, own)
	if reply.Code == 421 {
		c.Close()
		c = tr.connect()
	}
	tr.b.clearFault()
	good := newMessage("good: "+what, 0)
	if reply := tr.send(c, good); reply.Code != 250 || !tr.b.has(subject(good)) {
		tr.t.Errorf("%s: the next message, to the backend without a fault: %q, accepted there: %v", what, reply, tr.b.has(subject(good)))
	}
}

// badSize returns the size of the message. In the text it exceeds all socket buffers, so
// that Postern notices when the backend does not read.
func badSize(at step) int {
	if at == inText {
		return 16 << 20
	}
	return 4 << 10
}

func (tr trial) connect() *testsmtp.Client {
	tr.t.Helper()
	c, err := testsmtp.Dial(tr.p.addr, "")
	if err == nil {
		err = c.Expect("EHLO sender.test\r\n", 250)
	}
	if err != nil {
		tr.t.Fatal(err)
	}
	return c
}

func (tr trial) send(c *testsmtp.Client, m testsmtp.Message) smtp.Reply {
	tr.t.Helper()
	var reply smtp.Reply
	var err error
	if tr.verb == "BDAT" {
		reply, err = c.DeliverBDAT(m, 1<<20)
	} else {
		reply, err = c.Deliver(m)
	}
	if err != nil {
		tr.t.Fatalf("message %q: no reply to the sender: %v", subject(m), err)
	}
	if !reply.Positive() && reply.Code != 421 {
		if err := c.Expect("RSET\r\n", 250); err != nil {
			tr.t.Fatal(err)
		}
	}
	return reply
}

// checkRefused checks the reply to the message.
func (tr trial) checkRefused(what string, reply smtp.Reply, own int) {
	tr.t.Helper()
	ours := tr.at == atGreeting || tr.at == atEHLO // a refusal there is meant for Postern
	switch {
	case own == 0 || ours && own == 554:
		if !reply.Transient() {
			tr.t.Errorf("%s: reply %q, want a 4xx", what, reply)
		}
	case reply.Code != own || !strings.Contains(reply.Text(), "backend"):
		tr.t.Errorf("%s: reply %q, want the backend's own %d", what, reply, own)
	}
}

func subject(m testsmtp.Message) string { return newStored(m.Text).field("Subject") }

// shortTimeouts returns flags with timeouts of seconds in place of minutes. A backend
// without a fault must reply in that time on a busy machine too.
func shortTimeouts(nextHop string) []string {
	return []string{"--next-hop", nextHop + "?command-timeout=15s&text-timeout=2s&end-timeout=15s"}
}
