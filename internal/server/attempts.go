package server

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/handshake"
	"postern/internal/admission"
	"postern/internal/certs"
	"postern/internal/ledger"
	"postern/internal/smtpd"
	"postern/interop"
	"postern/sessionticket"
)

// Bounds of what is kept for later diagnoses. A transcript takes some 10 KiB.
const (
	maxAttemptSenders = 512
	maxAttempts       = 6 // of a sender
	attemptAge        = 7 * 24 * time.Hour
)

// attempts keeps the last handshakes of senders that closed silently: what a sender does next
// is evidence about what it did before. It is lost in a restart; the diagnoses stay as they
// were then.
type attempts struct {
	mu      sync.Mutex
	senders *admission.Memory[senderKey, []attempt] // of each the oldest first
}

func newAttempts() *attempts {
	return &attempts{senders: admission.NewMemory[senderKey, []attempt](maxAttemptSenders, func(k senderKey) netip.Prefix { return k.network })}
}

// A senderKey is what two handshakes of one sender have in common. Two programs of a network
// can have the same fingerprint, but rarely the same name in EHLO too.
type senderKey struct {
	network   netip.Prefix
	ehlo, ja4 string
}

type attempt struct {
	interop.Attempt
	at      time.Time
	session string

	// Of a failed one.
	transcript *handshake.Transcript
	flaw       string
	diagnoses  []interop.Diagnosis
}

// A judgement is what is said of a session, and what it changes in earlier ones.
type judgement struct {
	diagnoses []interop.Diagnosis
	failed    bool
	revisions []revision
}

type revision struct {
	session  string
	was, now []interop.Diagnosis
}

// judge diagnoses a session with what is known of its sender, and keeps it for the next one.
func (a *attempts) judge(r smtpd.SessionResult) (j judgement) {
	if r.JA4 == "" || r.Probe {
		if r.Transcript != nil {
			j.diagnoses, j.failed = interop.Diagnose(r.Transcript)
		}
		return j
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := senderKey{admission.Network(r.Sender.Addr()), r.EHLO, r.JA4}
	known, _ := a.senders.Get(key)
	known = slices.DeleteFunc(known, func(old attempt) bool { return r.Began.Sub(old.at) > attemptAge })
	latest := attempt{Attempt: attemptOf(r), at: r.Began, session: r.ID}
	if r.Transcript != nil {
		latest.flaw = certs.Flaw(r.Certificate, serverName(r.Transcript), r.Began)
		j.diagnoses, j.failed = contextOf(latest.flaw, known, -1).Diagnose(r.Transcript)
	}
	if j.failed {
		latest.transcript, latest.diagnoses = r.Transcript, j.diagnoses
	}
	if known == nil && !tellsMore(latest.Outcome) {
		return j
	}
	known = append(known, latest)
	known = known[max(0, len(known)-maxAttempts):]
	for i := range known[:len(known)-1] {
		if again := known[i].again(known, i); again != nil {
			j.revisions = append(j.revisions, *again)
		}
	}
	a.senders.Set(key, known)
	return j
}

// again diagnoses a failed attempt once more, with the others of its sender. It returns nil if
// the result is the same.
func (p *attempt) again(all []attempt, i int) *revision {
	if p.transcript == nil {
		return nil
	}
	diagnoses, _ := contextOf(p.flaw, all, i).Diagnose(p.transcript)
	if slices.EqualFunc(diagnoses, p.diagnoses, func(a, b interop.Diagnosis) bool {
		return a.Case == b.Case && a.Confidence == b.Confidence
	}) {
		return nil
	}
	r := &revision{session: p.session, was: p.diagnoses, now: diagnoses}
	p.diagnoses = diagnoses
	return r
}

// contextOf is the context of the i-th of all attempts.
func contextOf(flaw string, all []attempt, i int) interop.Context {
	c := interop.Context{CertificateFlaw: flaw}
	for n, other := range all {
		if n != i {
			c.Others = append(c.Others, other.Attempt)
		}
	}
	return c
}

// tellsMore reports whether an outcome has several causes, between which later handshakes may
// decide.
func tellsMore(o handshake.Outcome) bool {
	return o != handshake.Worked && o != handshake.Inconclusive
}

// attemptOf returns a session as evidence for others of its sender.
func attemptOf(r smtpd.SessionResult) interop.Attempt {
	if r.Transcript != nil {
		return interop.AttemptOf(r.Transcript)
	}
	a := interop.Attempt{Outcome: handshake.Worked}
	if r.TLS != nil {
		a.Version = handshake.Version(r.TLS.Version)
	}
	if a.Version == tls.VersionTLS13 {
		a.EarlyTicket = r.Mode == sessionticket.Stock
		a.Ticket = a.EarlyTicket || r.Mode == sessionticket.OwnWrite || r.Mode == sessionticket.FirstWrite
	}
	return a
}

func serverName(t *handshake.Transcript) string {
	if t.ClientHello == nil {
		return ""
	}
	return t.ClientHello.ServerName
}

// stored returns diagnoses as the ledger stores them.
func stored(diagnoses []interop.Diagnosis) (all []ledger.Diagnosis) {
	for _, d := range diagnoses {
		s := ledger.Diagnosis{Case: d.Case.ID, Confidence: float64(d.Confidence)}
		for _, o := range d.Observations {
			s.Evidence = append(s.Evidence, o.Text)
		}
		all = append(all, s)
	}
	return all
}

// alternatives names diagnoses after the first, for operators.
func alternatives(others []ledger.Diagnosis) string {
	var words []string
	for _, d := range others {
		words = append(words, fmt.Sprintf("%s (%v)", d.Case, interop.Confidence(d.Confidence)))
	}
	return strings.Join(words, ", ")
}

// named returns the first diagnosis in words, for operators.
func named(diagnoses []interop.Diagnosis) string {
	if len(diagnoses) == 0 {
		return ledger.Unknown
	}
	return fmt.Sprintf("%s (%v)", diagnoses[0].Case.ID, diagnoses[0].Confidence)
}
