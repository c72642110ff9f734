package testpeer_test

import (
	"testing"

	"postern/internal/testcert"
	"postern/internal/testpeer"
)

func TestEximDeliversIntoPostfixAndResumes(t *testing.T) {
	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{Cert: testcert.New(t, testcert.Options{})})
	const n = 20
	run := testpeer.SendExim(t, backend.Addr, testpeer.QueueOptions{Messages: n})
	if run.Sent != n || run.Resumed != n-1 {
		t.Errorf("sent %d and resumed %d, want %d and %d:\n%s", run.Sent, run.Resumed, n, n-1, run.Log)
	}
	checkQueueArrived(t, backend.AwaitMessages(t, n), n)
}

func TestEximSendsByEachHandshake(t *testing.T) {
	for _, h := range testpeer.Handshakes {
		t.Run(h.String(), func(t *testing.T) {
			s := startServer(t)
			run := testpeer.SendExim(t, s.addr, testpeer.QueueOptions{Messages: 2, Handshake: h})
			if run.Sent != 2 {
				t.Fatalf("sent %d, want 2:\n%s", run.Sent, run.Log)
			}
			checkHandshake(t, s, h)
			checkQueueArrived(t, s.messages, 2)
		})
	}
}

func TestEximCountsRefusals(t *testing.T) {
	s := startServer(t)
	run := testpeer.SendExim(t, s.addr, testpeer.QueueOptions{
		Messages: 2, Message: testpeer.Message{To: "refused@localhost"},
	})
	if run.Sent != 0 || run.Bounced != 2 {
		t.Errorf("sent %d, bounced %d, want 0 and 2:\n%s", run.Sent, run.Bounced, run.Log)
	}
}
