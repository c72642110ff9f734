package testpeer_test

import (
	"net"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"postern/internal/testpeer"
)

func TestDovecotAnswersEachRecipient(t *testing.T) {
	d := testpeer.StartDovecot(t, testpeer.DovecotOptions{
		Users: []string{"user@localhost", "other@localhost"}, Full: []string{"full@localhost"},
	})
	raw, err := net.Dial("unix", d.Socket)
	if err != nil {
		t.Fatal(err)
	}
	conn := textproto.NewConn(raw)
	defer conn.Close()
	replies := []string{readReply(t, conn)}
	for _, line := range []string{
		"LHLO front.test", "MAIL FROM:<sender@sender.test>", "RCPT TO:<user@localhost>",
		"RCPT TO:<full@localhost>", "RCPT TO:<unknown@localhost>", "DATA", "Subject: lmtp\r\n\r\nHello.\r\n.",
	} {
		if err := conn.PrintfLine("%s", line); err != nil {
			t.Fatal(err)
		}
		replies = append(replies, readReply(t, conn))
	}
	replies = append(replies, readReply(t, conn)) // the second recipient's

	var codes []string
	for _, reply := range replies {
		codes = append(codes, reply[:3])
	}
	if want := strings.Fields("220 250 250 250 250 550 354 250 552"); !slices.Equal(codes, want) {
		t.Fatalf("replies %q, want %v", replies, want)
	}
	if texts := d.Fetch(t, "user@localhost"); len(texts) != 1 || !strings.HasSuffix(texts[0], "Subject: lmtp\n\nHello.\n") {
		t.Errorf("user has %q, want one message", texts)
	}
	for _, user := range []string{"full@localhost", "other@localhost"} {
		if texts := d.Fetch(t, user); len(texts) != 0 {
			t.Errorf("%s has %q, want nothing", user, texts)
		}
	}
}
