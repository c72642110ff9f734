package ledger

import (
	"os"
	"testing"
)

func TestStats(t *testing.T) {
	path := empty(t)
	l := Open(path, Options{})
	plain := with(success("P"), func(h *Handshake) { h.Outcome, h.Fingerprint = Plaintext, "" })
	probe := with(plain, func(h *Handshake) { h.Session, h.Probe = "Q", true })
	for _, h := range []Handshake{plain, failure("A"), plain, probe, success("B"), plain} {
		l.AddHandshake(h)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := l.Stats()
	if s.Returned != 1 || s.Queued != 0 || s.QueuedBytes != 0 || s.Dropped != 0 {
		t.Errorf("%+v, want one session in plaintext after a failure and nothing in the queue", s)
	}
	if info, err := os.Stat(path); err != nil || s.Size < info.Size() {
		t.Errorf("size %d: %v", s.Size, err)
	}
	l.AddHandshake(plain)
	if s := l.Stats(); s.Dropped != 1 {
		t.Errorf("%+v, want the event after Close dropped", s)
	}
}
