package testpeer_test

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"postern/internal/testpeer"
	"postern/internal/testsmtp"
)

func TestDovecotAnswersEachRecipient(t *testing.T) {
	d := testpeer.StartDovecot(t, testpeer.DovecotOptions{
		Users: []string{"user@localhost", "other@localhost"}, Full: []string{"full@localhost"},
	})
	raw, err := net.Dial("unix", d.Socket)
	if err != nil {
		t.Fatal(err)
	}
	c := testsmtp.New(raw)
	defer c.Close()
	var codes []string
	for _, line := range []string{
		"", "LHLO front.test\r\n", "MAIL FROM:<sender@sender.test>\r\n", "RCPT TO:<user@localhost>\r\n",
		"RCPT TO:<full@localhost>\r\n", "RCPT TO:<unknown@localhost>\r\n", "DATA\r\n", "Subject: lmtp\r\n\r\nHello.\r\n.\r\n",
		"", // the second recipient's reply
	} {
		reply, err := c.Ask(line)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, strconv.Itoa(reply.Code))
	}

	if want := strings.Fields("220 250 250 250 250 550 354 250 552"); !slices.Equal(codes, want) {
		t.Fatalf("replies %v, want %v", codes, want)
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
