// Package triage says what the end of a handshake means, and sees to what follows:
// it diagnoses, lets the ladder learn, and has the ledger keep what happened.
//
//	transcript ──▶ interop.Diagnose ──▶ ledger, and the session's line in the log
//	           └─▶ ladder ────────────▶ ledger
package triage

import (
	"log/slog"
	"sync"
	"time"

	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/smtpd"
	"postern/interop"
)

// A Triage is the [smtpd.Watch] of a server. It is safe for concurrent use.
type Triage struct {
	ladder *fallback.Ladder
	ledger *ledger.Ledger
	log    *slog.Logger

	opened chan struct{} // closed when ledger is set
	closed chan struct{} // closed when nothing more is to be saved
	saving sync.WaitGroup
	pinned bool // the pins have been told once; of the ledger's goroutine
}

var _ smtpd.Watch = (*Triage)(nil)

// Open returns a Triage whose new senders begin at first, with the ledger at path;
// o.Log must be set. What an earlier run has learned is taken up from there. A
// ledger that cannot be read or written is logged, and mail goes on without.
func Open(first fallback.Rung, path string, o ledger.Options) *Triage {
	t := &Triage{
		ladder: fallback.New(first),
		log:    o.Log,
		opened: make(chan struct{}),
		closed: make(chan struct{}),
	}
	o.Pins = t.setPins
	t.ledger = ledger.Open(path, o)
	close(t.opened)
	t.restore(path)
	t.saving.Go(t.save)
	return t
}

// Close saves what was learned and closes the ledger. The error says what was
// lost. No session may end after it.
func (t *Triage) Close() error {
	close(t.closed)
	t.saving.Wait()
	return t.ledger.Close()
}

// Ledger is the one that was opened, for those who have more to keep there. It is closed by
// Close.
func (t *Triage) Ledger() *ledger.Ledger { return t.ledger }

// Offer says what a sender is offered.
func (t *Triage) Offer(s fallback.Sender) fallback.Rung {
	rung, _ := t.ladder.Choose(s, time.Now())
	return rung
}

// Ended takes in a session. It returns what the session's line in the log is to
// say of a failed handshake, and nothing for any other.
func (t *Triage) Ended(v smtpd.Visit) []slog.Attr {
	if v.Handshake != nil {
		if diagnoses, failed := interop.Examine(v.Handshake); failed {
			f := &failure{visit: v, diagnoses: diagnoses, next: t.next(v, t.learn(v))}
			t.ledger.Note(f.row())
			return f.attrs()
		}
	}
	switch {
	case v.TLS != nil:
		t.learn(v)
		t.ledger.Note(succeeded(v))
	case v.Messages > 0:
		t.ledger.Note(row(v, ledger.Plaintext))
	}
	return nil
}
