package test

import (
	"fmt"
	"strings"
	"testing"

	"postern/internal/testpeer"
)

// The queue of a real Postfix that does not survive an early ticket drains by
// itself: nobody touches it, or Postern.
func TestTheQueueOfAStrictPostfixDrainsByItself(t *testing.T) {
	p := start(t, "--ticket-policy", "stock")
	proxy := startStrictProxy(t, p.addr)
	const messages = 5
	run := testpeer.SendPostfix(t, proxy.addr, testpeer.QueueOptions{
		Messages: messages,
		Config:   []string{"default_destination_concurrency_limit = 1"}, // else all would fail at once
	})
	if run.Sent != messages || run.Bounced != 0 || run.Deferred == 0 || run.Resumed == 0 {
		t.Errorf("of %d messages %d were sent, %d bounced, %d put off; %d sessions resumed\n%s",
			messages, run.Sent, run.Bounced, run.Deferred, run.Resumed, run.Log)
	}
	if got := len(p.maildir().messages(t)); got != messages {
		t.Errorf("%d messages stored, want %d", got, messages)
	}
	eventually(t, func() error {
		out, _ := runPostern(t, "handshakes", "--failed", "--case", "early-ticket", "--sender", "sender.test", "--data", p.data)
		if got, want := strings.Count(out, "early-ticket on stock"), int(proxy.refused.Load()); got != want || got == 0 {
			return fmt.Errorf("%d failures are listed, want %d:\n%s", got, want, out)
		}
		return nil
	})
}
