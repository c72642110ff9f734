package test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/internal/smtp"
	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/internal/testsmtp"
)

// senderAddress is the sender's address in these tests. Postern connects to the backend
// from another one.
const senderAddress = "127.0.0.2"

// With XCLIENT Postfix logs and checks the sender's address as if the sender had connected
// to it directly. documentation_test.go has this without TLS.
func TestPostfixGetsSenderAddressByXCLIENTOverTLS(t *testing.T) {
	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{XCLIENT: true, Cert: testcert.New(t, testcert.Options{})})
	p := start(t, "--next-hop", "smtp://"+backend.Addr)
	deliverFromSender(t, p, newMessage("xclient", 4<<10), 0)
	message := newStored(backend.AwaitMessages(t, 1)[0])
	checkWhole(t, message, "xclient")
	backend.AwaitLog(t, ": client=unknown[127.0.0.2]")
	if field := message.received(); !strings.Contains(field, "[127.0.0.2]") || !strings.Contains(field, "by backend.test") {
		t.Errorf("Postfix's Received field: %s", field)
	}
}

// Replies of the backend reach the sender unchanged, and a refused recipient does not
// keep the message from another.
func TestRepliesOfNextHopReachTheSender(t *testing.T) {
	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{Users: []string{"user@localhost"}})
	p := start(t, "--next-hop", "smtp://"+backend.Addr)
	c := connectSender(t, p)
	for _, step := range []struct{ say, want string }{
		{"MAIL FROM:<sender@sender.test>\r\n", "250 2.1.0 Ok"},
		{"RCPT TO:<nobody@localhost>\r\n", "550 5.1.1 <nobody@localhost>: Recipient address rejected: User unknown in virtual mailbox table"},
		{"RCPT TO:<user@localhost>\r\n", "250 2.1.5 Ok"},
		{"DATA\r\n", "354 "},
		{newMessage("for one", 0).Data(), "250 2.0.0 Ok: queued as "},
	} {
		reply, err := c.Ask(step.say)
		if err != nil || !strings.HasPrefix(reply.String(), step.want) {
			t.Fatalf("reply %q, %v to %.40q, want %q", reply, err, step.say, step.want)
		}
	}
	checkWhole(t, newStored(backend.AwaitMessages(t, 1)[0]), "for one")
}

// The sender uses BDAT, and DATA and BDAT for messages of 50 MiB.
func TestLargeMessagesArriveWholeByDATAAndBDAT(t *testing.T) {
	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{
		Config: []string{"message_size_limit = 0", "virtual_mailbox_limit = 0"},
	})
	settings := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(settings, []byte("[limits]\nmessage-size = \"64MiB\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--config", settings, "--next-hop", "smtp://"+backend.Addr)
	for i, tt := range []struct {
		id    string
		size  int
		chunk int // 0: by DATA
	}{
		{"small in chunks", 4 << 10, 10},
		{"large", 50 << 20, 0},
		{"large in chunks", 50 << 20, 64 << 10},
	} {
		deliverFromSender(t, p, newMessage(tt.id, tt.size), tt.chunk)
		checkOneWhole(t, backend.AwaitMessages(t, i+1), tt.id)
	}
}

// Dovecot accepts mail by LMTP over a unix socket, with a reply for each recipient.
func TestDovecotAcceptsMailByLMTP(t *testing.T) {
	backend := testpeer.StartDovecot(t, testpeer.DovecotOptions{
		Users: []string{"user@localhost", "other@localhost"}, Full: []string{"full@localhost"},
	})
	p := start(t, "--next-hop", "lmtp+unix://"+backend.Socket)

	both := newMessage("for both", 4<<10)
	both.To = []string{"user@localhost", "other@localhost"}
	deliverFromSender(t, p, both, 0)
	deliverFromSender(t, p, newMessage("in chunks", 4<<10), 1000)
	checkOneWhole(t, backend.Fetch(t, "user@localhost"), "for both")
	checkOneWhole(t, backend.Fetch(t, "other@localhost"), "for both")
	checkOneWhole(t, backend.Fetch(t, "user@localhost"), "in chunks")

	c := connectSender(t, p)
	refused, err := c.Deliver(testsmtp.Message{From: "sender@sender.test", To: []string{"nobody@localhost"}, Text: both.Text})
	if err != nil || refused.Code != 550 || !strings.Contains(refused.Text(), "nobody@localhost") {
		t.Errorf("an unknown recipient: %s, %v", refused, err)
	}
	mixed := newMessage("for the one with room", 4<<10)
	mixed.To = []string{"user@localhost", "full@localhost"}
	reply, err := connectSender(t, p).Deliver(mixed)
	checkLMTPReply(t, reply, err)
	checkOneWhole(t, backend.Fetch(t, "user@localhost"), "for the one with room")
	p.await(0, "LMTP recipients got different replies", "full@localhost")
}

// checkLMTPReply checks the combined reply for a recipient that has the message and one
// that was refused: see docs/decisions/0004-lmtp-many-replies.md.
func checkLMTPReply(t *testing.T, reply smtp.Reply, err error) {
	t.Helper()
	if err != nil || !reply.Permanent() {
		t.Errorf("one recipient over quota: %s, %v, want a 5xx", reply, err)
	}
	for _, status := range []string{"<user@localhost> delivered: 250", "<full@localhost> refused: 552"} {
		if !strings.Contains(reply.Text(), status) {
			t.Errorf("reply %q lacks %q", reply, status)
		}
	}
}

// connectSender connects from senderAddress, over STARTTLS.
func connectSender(t *testing.T, p *postern) *testsmtp.Client {
	t.Helper()
	c, err := testsmtp.DialTLS(p.addr, senderAddress, testsmtp.OpportunisticTLS())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// deliverFromSender delivers by DATA, or by BDAT if chunk is not 0.
func deliverFromSender(t *testing.T, p *postern, m testsmtp.Message, chunk int) {
	t.Helper()
	c := connectSender(t, p)
	var reply smtp.Reply
	var err error
	if chunk > 0 {
		reply, err = c.DeliverBDAT(m, chunk)
	} else {
		reply, err = c.Deliver(m)
	}
	if err != nil || reply.Code != 250 {
		t.Fatalf("message %q in chunks of %d: %s, %v", subject(m), chunk, reply, err)
	}
}

func checkWhole(t *testing.T, message stored, want string) {
	t.Helper()
	if id, err := message.whole(); err != nil || id != want {
		t.Errorf("arrived: %q, %v, want %q", id, err, want)
	}
}

// checkOneWhole checks that one of the texts is the message want, and all are whole.
func checkOneWhole(t *testing.T, texts []string, want string) {
	t.Helper()
	var ids []string
	for _, text := range texts {
		id, err := newStored(text).whole()
		if err != nil {
			t.Error(err)
		}
		ids = append(ids, id)
	}
	if !slices.Contains(ids, want) {
		t.Errorf("arrived %q, want %q among them", ids, want)
	}
}
