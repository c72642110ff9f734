package testpeer_test

import (
	"net/smtp"
	"testing"

	"postern/internal/testpeer"
)

// sendPlain delivers n messages over one connection without TLS.
func sendPlain(t *testing.T, addr string, n int) {
	t.Helper()
	c, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range n {
		if err := sendOne(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
}

func sendOne(c *smtp.Client) error {
	if err := c.Mail("sender@sender.test"); err != nil {
		return err
	}
	if err := c.Rcpt("user@localhost"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte("Subject: plain\r\n\r\nHello.\r\n")); err != nil {
		return err
	}
	return w.Close()
}

func TestSMTPSinkCounts(t *testing.T) {
	sink := testpeer.StartSMTPSink(t)
	if n := sink.Messages(); n != 0 {
		t.Errorf("%d messages before the first, want 0", n)
	}
	sendPlain(t, sink.Addr, 3)
	if n := sink.Messages(); n != 3 {
		t.Errorf("%d messages, want 3", n)
	}
}
