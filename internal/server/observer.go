package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"postern/handshake"
	"postern/internal/admission"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/metrics"
	"postern/internal/safetext"
	"postern/internal/smtp"
	"postern/internal/smtpd"
	"postern/interop"
	"postern/sessionticket"
)

// An observer is the [smtpd.Observer] of the server. The result of each session takes one
// way: diagnosis, fallback, ledger, log line.
type observer struct {
	selector  *fallback.Selector
	ledger    *ledger.Ledger
	metrics   *metrics.Metrics
	refusals  *refusalBook
	log       *slog.Logger
	attempts  *attempts
	sweeps    *sweeps
	completed *completed
	names     *names           // nil: senders have none
	tally     *admission.Tally // of sessions without a message

	closed chan struct{} // closed when the sender history is to be saved for the last time
	saving sync.WaitGroup
}

// openObserver returns an observer whose new senders start in the given mode, with the ledger
// at path and the sender history in it. The ledger keeps as much of mail addresses as addresses
// says. A ledger that cannot be opened is logged; mail goes on without it.
func openObserver(initial sessionticket.Mode, path string, addresses smtp.AddressDetail, m *metrics.Metrics, o ledger.Options) *observer {
	obs := &observer{selector: fallback.New(initial), metrics: m, log: o.Log, attempts: newAttempts(), sweeps: newSweeps(), completed: newCompleted(), closed: make(chan struct{})}
	o.Pins = obs.setPins
	obs.ledger = ledger.Open(path, o)
	obs.refusals = newRefusalBook(obs.ledger, o.Log, addresses)
	obs.loadHistory(path)
	obs.tally = admission.NewTally(sessionRate, obs.sumUp)
	obs.saving.Go(obs.saveHistory)
	return obs
}

// Close saves the sender history and closes the ledger. The error says what was dropped. No
// session may end after it.
func (obs *observer) Close() error {
	close(obs.closed)
	obs.saving.Wait()
	obs.tally.Report()
	obs.refusals.tally.Report()
	return obs.ledger.Close()
}

// ChooseMode asks the fallback.
func (obs *observer) ChooseMode(sender netip.Addr, ja4 string, probe bool) sessionticket.Mode {
	of := fallback.Sender{Addr: sender, Fingerprint: ja4}
	if probe {
		return obs.selector.ChooseForProbe(of, time.Now())
	}
	mode, _ := obs.selector.Choose(of, time.Now())
	return mode
}

// SessionEnded diagnoses a failed handshake, lets the fallback learn, stores the session and
// logs it. Sessions without TLS and without a message are only logged. The health check of a
// front-end is no sender.
func (obs *observer) SessionEnded(r smtpd.SessionResult) {
	attrs := sessionAttrs(r)
	if r.HealthCheck {
		obs.log.LogAttrs(context.Background(), slog.LevelDebug, "health check", attrs...)
		return
	}
	shook := handshakeOf(r)
	j := obs.attempts.judge(shook)
	scanner := j.failed && obs.scanned(shook)
	failed := ""
	switch {
	case scanner: // its first handshakes are in the ledger; nothing is to be learned from it
		attrs = append(attrs, slog.String(logkey.Case, ledger.Scanner), slog.String(logkey.Stopped, r.Transcript.DescribeEnd()), slog.String(logkey.JA4, r.JA4))
		failed = ledger.Scanner
	case j.failed:
		h := obs.failedHandshake(shook, j.diagnoses, obs.learn(shook))
		obs.store(h)
		attrs = append(attrs, failureAttrs(h)...)
		failed = h.Case()
	case r.TLS != nil:
		obs.learn(shook)
		obs.store(completedHandshake(shook, len(j.diagnoses) > 0))
	case r.Messages > 0 && !r.Peer.IsValid(): // how the client of a front-end came to that is unknown
		obs.store(newHandshake(r, ledger.Plaintext))
	}
	obs.names.whenKnown(r.Sender.Addr(), obs.metrics.SessionEnded(r, failed))
	if r.Messages > 0 || obs.tally.Line(r.Sender.Addr(), sessionKind(r)) {
		obs.log.LogAttrs(context.Background(), slog.LevelInfo, "session", attrs...)
	}
	for _, again := range j.revisions {
		obs.revise(again, r.ID)
	}
}

// handshakeOf returns a session as one of whoever made its TLS handshake.
func handshakeOf(r smtpd.SessionResult) smtpd.SessionResult {
	if r.Peer.IsValid() {
		r.Sender, r.EHLO = r.Peer, "" // the name is the client's
	}
	return r
}

// store stores a session with the name of its sender, if that is known. A probe is no sender.
func (obs *observer) store(h ledger.Handshake) {
	if !h.Probe {
		h.Name = obs.names.of(h.Address, h.EHLO)
	}
	obs.ledger.AddHandshake(h)
}

// sessionRate is how many sessions without a message get a line in the log. It lets a sender
// with failing handshakes have all of its lines, as it retries.
var sessionRate = admission.Quotas{
	Total:      admission.Quota{Starts: 50},
	PerNetwork: admission.Quota{Starts: 20},
}

// The kinds of sessions without a message in their sums.
const (
	overLimit = 0
	admitted  = 1
)

func sessionKind(r smtpd.SessionResult) int {
	if r.Limit != nil {
		return overLimit
	}
	return admitted
}

// sumUp logs the counts of sessions that got no line.
func (obs *observer) sumUp(sums []admission.Sum, took time.Duration) {
	for _, sum := range sums {
		obs.log.LogAttrs(context.Background(), slog.LevelInfo, "more sessions without a message",
			slog.String(logkey.Network, sum.String()),
			slog.Int64(logkey.OverLimit, sum.Counts[overLimit]),
			slog.Int64(logkey.Admitted, sum.Counts[admitted]),
			slog.Duration(logkey.Duration, took),
		)
	}
}

// CommandRefused logs and stores a refused command.
func (obs *observer) CommandRefused(c smtpd.RefusedCommand) {
	obs.metrics.CommandRefused(c)
	obs.refusals.refused(c)
}

// MessageAccepted notes that a deferred sender was accepted.
func (obs *observer) MessageAccepted(m smtpd.AcceptedMessage) {
	obs.metrics.MessageAccepted(m)
	obs.refusals.accepted(m)
}

// scanned reports whether a failed session is a scanner's, and says so of those before it.
func (obs *observer) scanned(r smtpd.SessionResult) bool {
	scanner, before := obs.sweeps.note(r)
	for _, session := range before {
		why := fmt.Sprintf("a failure of its own, until session %s of the same address", r.ID)
		obs.ledger.Revise(ledger.Revision{Session: session, Diagnoses: scanned, Why: why})
	}
	if len(before) > 0 {
		obs.log.Info("scanner recognised", logkey.Sender, r.Sender.Addr(), logkey.Session, r.ID)
	}
	return scanner
}

// revise corrects what was said of an earlier session of the sender.
func (obs *observer) revise(again revision, later string) {
	was := named(again.was)
	obs.ledger.Revise(ledger.Revision{
		Session: again.session, Diagnoses: stored(again.now),
		Why: fmt.Sprintf("%s, until session %s of the same sender showed more", was, later),
	})
	obs.log.Info("diagnosis revised", logkey.Session, again.session, logkey.Case, named(again.now), logkey.Was, was, logkey.Later, later)
}

// learn passes the outcome of a handshake to the fallback and stores what it decides.
func (obs *observer) learn(r smtpd.SessionResult) []fallback.Decision {
	if r.JA4 == "" || r.Probe {
		return nil // without a ClientHello no mode was chosen; a probe is no sender
	}
	decisions := obs.selector.Learn(senderOf(r), r.Mode, outcome(r), time.Now())
	obs.ledger.AddDecisions(decisions)
	obs.metrics.Decided(decisions)
	return decisions
}

// outcome returns what the session says about its mode.
func outcome(r smtpd.SessionResult) handshake.Outcome {
	if r.Transcript == nil {
		return handshake.Worked
	}
	return r.Transcript.Outcome()
}

// newHandshake returns a session as the ledger stores it.
func newHandshake(r smtpd.SessionResult, outcome ledger.Outcome) ledger.Handshake {
	h := ledger.Handshake{
		Session:     r.ID,
		At:          r.Began,
		Address:     r.Sender.Addr(),
		Network:     admission.Network(r.Sender.Addr()),
		EHLO:        r.EHLO,
		Fingerprint: r.JA4,
		Probe:       r.Probe,
		Delivered:   r.Messages > 0,
		Outcome:     outcome,
		Mode:        r.Mode,
	}
	if r.TLS != nil {
		h.Version, h.Suite, h.Group = handshake.Version(r.TLS.Version), handshake.Suite(r.TLS.CipherSuite), handshake.Group(r.TLS.CurveID)
	}
	return h
}

// completedHandshake returns a session whose handshake completed, as the ledger stores it. It
// was left if it ended as those of some failing senders do.
func completedHandshake(r smtpd.SessionResult, left bool) ledger.Handshake {
	outcome := ledger.Full
	if r.TLS.DidResume {
		outcome = ledger.Resumed
	}
	h := newHandshake(r, outcome)
	h.Unused = left || r.Transcript != nil && r.Transcript.Use == handshake.UseNone
	if r.Completed != nil {
		h.Transcript, _ = r.Completed.MarshalJSON()
	}
	return h
}

func (obs *observer) failedHandshake(r smtpd.SessionResult, diagnoses []interop.Diagnosis, decisions []fallback.Decision) ledger.Handshake {
	h := newHandshake(r, ledger.Failed)
	h.Stopped, h.Next = r.Transcript.DescribeEnd(), obs.next(r, decisions)
	h.Diagnoses = stored(diagnoses)
	h.Transcript, _ = r.Transcript.MarshalJSON() // without json.Marshal, which reads it once more; it has nothing that JSON cannot say
	return h
}

// next says in which mode the sender of a failed handshake is answered next time, and why.
func (obs *observer) next(r smtpd.SessionResult, decisions []fallback.Decision) string {
	for _, d := range decisions {
		if d.Network == admission.Network(r.Sender.Addr()) && d.Fingerprint == r.JA4 {
			return fmt.Sprintf("mode %s: %s", d.To, d.Why)
		}
	}
	switch {
	case r.Probe:
		return "nothing: a probe changes no mode"
	case r.JA4 == "":
		return "nothing: no ClientHello arrived"
	case outcome(r) == handshake.Inconclusive:
		return fmt.Sprintf("mode %s again: the failure does not point to the mode", r.Mode)
	}
	mode, why := obs.selector.Next(senderOf(r), time.Now())
	if mode == r.Mode {
		return fmt.Sprintf("mode %s again", mode)
	}
	return fmt.Sprintf("mode %s: %s", mode, why)
}

func senderOf(r smtpd.SessionResult) fallback.Sender {
	return fallback.Sender{Addr: r.Sender.Addr(), Fingerprint: r.JA4}
}

// sessionAttrs are the attributes of a session's line in the log.
func sessionAttrs(r smtpd.SessionResult) []slog.Attr {
	attrs := []slog.Attr{
		slog.String(logkey.Session, r.ID),
		slog.String(logkey.Sender, r.Sender.String()),
		slog.String(logkey.EHLO, r.EHLO),
	}
	if r.Probe {
		attrs = append(attrs, slog.Bool(logkey.Probe, true))
	}
	if r.TLS != nil {
		attrs = append(attrs, slog.String(logkey.TLS, smtpd.DescribeTLS(r.TLS)))
	}
	attrs = append(attrs,
		slog.Int(logkey.Messages, r.Messages),
		slog.Int(logkey.Recipients, r.Recipients),
		slog.Int64(logkey.Bytes, r.Bytes),
		slog.Int(logkey.Refused, r.Refused),
		slog.Int(logkey.Deferred, r.Deferred),
		slog.Duration(logkey.Duration, r.Duration.Round(time.Millisecond)),
		slog.String(logkey.End, r.End),
	)
	if r.Limit != nil {
		attrs = append(attrs, slog.String(logkey.Limit, r.Limit.String()))
	}
	if r.Err != nil {
		attrs = append(attrs, slog.String(logkey.Err, errText(r)))
	}
	return attrs
}

// maxErrText bounds the error of a session in the log, in bytes: crypto/tls lists all that a
// ClientHello offers, which can be 20 KB.
const maxErrText = 500

func errText(r smtpd.SessionResult) string {
	if r.End == smtpd.Panicked {
		return r.Err.Error() // with the stack
	}
	return safetext.Reply(tlsError(r).Error(), maxErrText)
}

// tlsError returns the error of a session. Some clients, as those on OpenSSL, reject the
// server's flight with an alert that is not encrypted. Crypto/tls cannot read it and calls it
// a record that was damaged; the recording has read it.
func tlsError(r smtpd.SessionResult) error {
	if r.Transcript == nil || !strings.HasPrefix(r.Err.Error(), "local error: ") {
		return r.Err
	}
	end := r.Transcript.End
	if end.Kind != handshake.EndAlert || end.By != handshake.Client {
		return r.Err
	}
	alert := r.Transcript.Messages[end.After-1]
	if alert.Encrypted || alert.Alert == nil {
		return r.Err
	}
	return fmt.Errorf("the sender's alert %s, not encrypted, which crypto/tls could not read (%w)", alert.Alert.Description, r.Err)
}

// failureAttrs complete the line for a failed handshake, so that it needs no other.
func failureAttrs(h ledger.Handshake) []slog.Attr {
	attrs := []slog.Attr{slog.String(logkey.Case, h.Case())}
	if len(h.Diagnoses) > 0 {
		attrs = append(attrs, slog.String(logkey.Confidence, interop.Confidence(h.Diagnoses[0].Confidence).String()))
	}
	attrs = append(attrs, slog.String(logkey.Stopped, h.Stopped))
	if h.Fingerprint != "" {
		attrs = append(attrs, slog.String(logkey.JA4, h.Fingerprint), slog.String(logkey.Mode, h.Mode.String()))
	}
	attrs = append(attrs, slog.String(logkey.Next, h.Next))
	if len(h.Diagnoses) > 1 {
		attrs = append(attrs, slog.String(logkey.Alternatives, alternatives(h.Diagnoses[1:])))
	}
	return attrs
}
