// Package triage says what the end of a handshake means, and sees to what follows:
// it diagnoses, lets the ladder learn, and has the ledger keep what happened.
//
//	transcript ──▶ interop.Diagnose ──▶ ledger, and the session's line in the log
//	           └─▶ ladder ────────────▶ ledger
package triage

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"postern/handshake"
	"postern/internal/admission"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/smtpd"
	"postern/interop"
	"postern/sessionticket"
)

// A Triage is the [smtpd.Watch] of a server. It is safe for concurrent use.
type Triage struct {
	selector *fallback.Selector
	ledger   *ledger.Ledger
	log      *slog.Logger

	opened chan struct{} // closed when ledger is set
	closed chan struct{} // closed when nothing more is to be saved
	saving sync.WaitGroup
	pinned bool // the pins have been told once; of the ledger's goroutine
}

var _ smtpd.Watch = (*Triage)(nil)

// Open returns a Triage whose new senders begin at first, with the ledger at path;
// o.Log must be set. What an earlier run has learned is taken up from there. A
// ledger that cannot be read or written is logged, and mail goes on without.
func Open(first sessionticket.Mode, path string, o ledger.Options) *Triage {
	t := &Triage{
		selector: fallback.New(first),
		log:      o.Log,
		opened:   make(chan struct{}),
		closed:   make(chan struct{}),
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
func (t *Triage) Offer(s fallback.Sender) sessionticket.Mode {
	rung, _ := t.selector.Choose(s, time.Now())
	return rung
}

// Ended takes in a session. It returns what the session's line in the log is to
// say of a failed handshake, and nothing for any other.
func (t *Triage) Ended(v smtpd.Visit) []slog.Attr {
	if v.Handshake != nil {
		if diagnoses, failed := interop.Diagnose(v.Handshake); failed {
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

// A failure is a handshake that failed, and what is made of it.
type failure struct {
	visit     smtpd.Visit
	diagnoses []interop.Diagnosis // the surest first
	next      string
}

// caseID is that of the surest diagnosis, or what stands for none.
func (f *failure) caseID() string {
	if len(f.diagnoses) == 0 {
		return ledger.Unknown
	}
	return f.diagnoses[0].Case.ID
}

// attrs complete the session's line in the log, so that it needs no other.
func (f *failure) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String(logkey.Case, f.caseID()),
		slog.String(logkey.Stopped, f.visit.Handshake.DescribeEnd()),
		slog.String(logkey.JA4, f.visit.JA4),
		slog.String(logkey.Mode, f.visit.Mode.String()),
		slog.String(logkey.Next, f.next),
	}
}

func (f *failure) row() ledger.Handshake {
	h := row(f.visit, ledger.Failed)
	h.Stopped, h.Next = f.visit.Handshake.DescribeEnd(), f.next
	for _, d := range f.diagnoses {
		h.Diagnoses = append(h.Diagnoses, ledger.Diagnosis{Case: d.Case.ID, Confidence: float64(d.Confidence)})
	}
	h.Transcript, _ = json.Marshal(f.visit.Handshake) // it has nothing that JSON cannot say
	return h
}

// learn lets the ladder learn from a session and keeps what it decides.
func (t *Triage) learn(v smtpd.Visit) []fallback.Decision {
	if v.JA4 == "" {
		return nil // no ClientHello, so nothing was offered
	}
	sender := fallback.Sender{Addr: v.Addr, Fingerprint: v.JA4}
	decisions := t.selector.Learn(sender, v.Mode, outcome(v), time.Now())
	t.note(decisions)
	return decisions
}

// outcome is what a session tells of the rung it was offered.
func outcome(v smtpd.Visit) handshake.Outcome {
	if v.Handshake == nil {
		return handshake.Worked
	}
	return v.Handshake.Outcome()
}

// next says what the sender of a failed handshake is offered when it comes again.
func (t *Triage) next(v smtpd.Visit, decisions []fallback.Decision) string {
	for _, d := range decisions {
		if d.Network == admission.Network(v.Addr) && d.Fingerprint == v.JA4 {
			return fmt.Sprintf("mode %s: %s", d.To, d.Why)
		}
	}
	switch {
	case v.JA4 == "":
		return "none: no ClientHello"
	case outcome(v) == handshake.Inconclusive:
		return fmt.Sprintf("mode %s again: the failure does not point to the mode", v.Mode)
	}
	return fmt.Sprintf("mode %s again", v.Mode)
}

// note has the ledger keep decisions.
func (t *Triage) note(decisions []fallback.Decision) {
	for _, d := range decisions {
		t.ledger.Note(ledger.Decision{
			At: d.At, Kind: string(d.Kind), Network: d.Network, Fingerprint: d.Fingerprint,
			From: d.From.String(), To: d.To.String(), Why: d.Why,
		})
	}
}

// row is what the ledger keeps of a session.
func row(v smtpd.Visit, outcome ledger.Outcome) ledger.Handshake {
	h := ledger.Handshake{
		Session:     v.Session,
		At:          v.Began,
		Address:     v.Addr,
		Network:     admission.Network(v.Addr),
		EHLO:        v.EHLO,
		Fingerprint: v.JA4,
		Outcome:     outcome,
	}
	if v.JA4 != "" {
		h.Rung = v.Mode.String()
	}
	if v.TLS != nil {
		h.Version, h.Suite, h.Group = v.TLS.Version, v.TLS.CipherSuite, uint16(v.TLS.CurveID)
	}
	return h
}

// succeeded is the row of a sender that got in over TLS.
func succeeded(v smtpd.Visit) ledger.Handshake {
	outcome := ledger.Full
	if v.TLS.DidResume {
		outcome = ledger.Resumed
	}
	h := row(v, outcome)
	h.Unused = v.Handshake != nil && v.Handshake.Use == handshake.UseNone
	return h
}

// maxStates is above what a ladder remembers.
const maxStates = 1 << 17

// restore gives the ladder what an earlier run has learned.
func (t *Triage) restore(path string) {
	reader, err := ledger.OpenReader(path)
	if err != nil {
		t.log.Warn("what was learned of senders could not be read, all begin anew", logkey.Err, err)
		return
	}
	defer reader.Close()
	kept, err := reader.States(context.Background(), maxStates)
	if err != nil {
		t.log.Warn("what was learned of senders could not be read, all begin anew", logkey.Err, err)
		return
	}
	states := make([]fallback.State, len(kept))
	for i, k := range kept {
		if err := json.Unmarshal(k.Value, &states[i]); err != nil {
			t.log.Warn("what was learned of a sender could not be read", logkey.Network, k.Network, logkey.Err, err)
		}
	}
	t.selector.Restore(states)
}

// saveInterval is how much of what was learned a crash may take.
const saveInterval = 2 * time.Second

// save has the ledger keep what the ladder has learned, again and again.
func (t *Triage) save() {
	tick := time.NewTicker(saveInterval)
	defer tick.Stop()
	for open := true; open; {
		select {
		case <-tick.C:
		case <-t.closed:
			open = false
		}
		for _, s := range t.selector.Changed() {
			value, err := json.Marshal(s)
			if err != nil {
				t.log.Warn("what was learned of a sender could not be kept", logkey.Network, s.Network, logkey.Err, err)
				continue
			}
			t.ledger.Note(ledger.State{At: s.Seen, Network: s.Network, Fingerprint: s.Fingerprint, Value: value})
		}
	}
}

// setPins takes in the pins as they stand in the ledger. Those that were there at
// the start are no news.
func (t *Triage) setPins(now []ledger.Pin) {
	var pins []fallback.Pin
	for _, p := range now {
		pin := fallback.Pin{Network: p.Network, Why: p.Why, Since: p.Since}
		if err := pin.Mode.UnmarshalText([]byte(p.Rung)); err != nil {
			t.log.Warn("a pin is not heeded", logkey.Network, p.Network, logkey.Err, err)
			continue
		}
		pins = append(pins, pin)
	}
	decisions := t.selector.SetPins(pins, time.Now())
	if t.pinned {
		<-t.opened
		t.note(decisions)
	}
	t.pinned = true
}
