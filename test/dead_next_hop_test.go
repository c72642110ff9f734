package test

import (
	"net"
	"strings"
	"testing"

	"postern/internal/smtp"
	"postern/internal/testsmtp"
)

// misdeeds are what a backend can do at any step, and the code of its reply if
// that is one that a sender may hear as it is.
var misdeeds = []struct {
	name    string
	misdeed misdeed
	own     int
}{
	{"dies", misdeed{"", leave}, 0},
	{"resets the connection", misdeed{"", cut}, 0},
	{"hangs", misdeed{"", hang}, 0},
	{"dies within a reply", misdeed{"25", leave}, 0},
	{"dies between the lines of a reply", misdeed{"250-one\r\n", leave}, 0},
	{"hangs within a reply", misdeed{"250 o", hang}, 0},
	{"says nonsense", misdeed{"\x00\xff bananas\r\n", hang}, 0},
	{"says code 999", misdeed{"999 never\r\n", hang}, 0},
	{"says two codes", misdeed{"250-one\r\n550 two\r\n", hang}, 0},
	{"says a line without end", misdeed{"250 " + strings.Repeat("long ", 1<<18), hang}, 0},
	{"says lines without end", misdeed{strings.Repeat("250-more\r\n", 1<<16), hang}, 0},
	{"says 354 or 250 out of turn", misdeed{"", outOfTurn}, 0},
	{"says 421 and dies", misdeed{"421 4.3.2 backend goes home\r\n", leave}, 421},
	{"refuses for now", misdeed{"451 4.7.1 backend says later\r\n", goOn}, 451},
	{"refuses for good", misdeed{"554 5.7.1 backend says never\r\n", goOn}, 554},
}

// Whatever the backend does, the sender hears a 4xx, or the backend's own
// refusal, and the next message gets through once the backend is well.
func TestADeadBackendIsACleanRefusal(t *testing.T) {
	for _, at := range steps {
		for _, verb := range []string{"DATA", "BDAT"} {
			t.Run(string(at)+" with "+verb, func(t *testing.T) {
				t.Parallel()
				b := startBackend(t)
				p := start(t, impatient("smtp://"+b.addr)...)
				tr := trial{t, p, b, at, verb, newLetter("bad", badSize(at))}
				for _, m := range misdeeds {
					tr.play(m.name, m.misdeed, m.own)
				}
			})
		}
	}
}

func TestABackendThatIsNotThereIsACleanRefusal(t *testing.T) {
	p := start(t, impatient("smtp://"+closedAddress(t))...)
	reply := p.deliver(t, newLetter("to nobody", 0))
	if reply.Code != 451 || reply.Enhanced() != "4.4.1" {
		t.Errorf("reply %q, want 451 4.4.1", reply)
	}
}

// closedAddress is one where nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// A trial is one step of the dialogue at which backend b misbehaves.
type trial struct {
	t    *testing.T
	p    *postern
	b    *backend
	at   step
	verb string           // DATA or BDAT
	bad  testsmtp.Message // what it is sent then
}

// play sends a letter to a backend that misbehaves and one to the same backend
// well again, in the same session if the first left it open.
func (tr trial) play(what string, m misdeed, own int) {
	tr.t.Helper()
	tr.b.misbehave(tr.at, m)
	c := tr.connect()
	defer func() { c.Close() }()
	reply := tr.send(c, tr.bad)
	tr.checkRefused(what, reply, own)
	if reply.Code == 421 {
		c.Close()
		c = tr.connect()
	}
	tr.b.behave()
	good := newLetter("good: "+what, 0)
	if reply := tr.send(c, good); reply.Code != 250 || !tr.b.has(subject(good)) {
		tr.t.Errorf("%s: the next letter, to a backend that is well: %q, kept there: %v", what, reply, tr.b.has(subject(good)))
	}
}

// badSize is that of the bad letter. In the text it is more than the buffers of
// all sockets between, so that Postern meets a backend that does not read.
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
		tr.t.Fatalf("letter %q: its sender was left without a reply: %v", subject(m), err)
	}
	if !reply.Positive() && reply.Code != 421 {
		if err := c.Expect("RSET\r\n", 250); err != nil {
			tr.t.Fatal(err)
		}
	}
	return reply
}

// checkRefused checks what the sender of a bad letter was told.
func (tr trial) checkRefused(what string, reply smtp.Reply, own int) {
	tr.t.Helper()
	ours := tr.at == atGreeting || tr.at == atEHLO // a refusal there is meant for us
	switch {
	case own == 0 || ours && own == 554:
		if !reply.Transient() {
			tr.t.Errorf("%s: the sender heard %q, want a 4xx", what, reply)
		}
	case reply.Code != own || !strings.Contains(reply.Text(), "backend"):
		tr.t.Errorf("%s: the sender heard %q, want the backend's own %d", what, reply, own)
	}
}

func subject(m testsmtp.Message) string { return newStored(m.Text).field("Subject") }

// impatient is the arguments of a postern that waits seconds for its next hop,
// where it would wait minutes. A backend that is well must answer within them on
// a busy machine too; that it reads on in a small text takes no time of its own.
func impatient(nextHop string) []string {
	return []string{"--next-hop", nextHop + "?command-timeout=15s&text-timeout=2s&end-timeout=15s"}
}
