// Package delivery says which senders fail, and what that means for their mail. The overview,
// the list of senders and the alerts all take it from here, so they agree.
//
// docs/decisions/0025-who-cannot-deliver.md has the rules and their reasons.
package delivery

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"postern/internal/ledger"
	"postern/internal/organization"
	"postern/interop"
)

// A Sender is a sender that failed, and what that means.
type Sender struct {
	ledger.FailingSender
	Organization organization.Organization
	Effect       Effect
}

// MaxSenders is how many senders Judge returns at most.
const MaxSenders = 500

// A Book is the ledger as far as Judge needs it; see [ledger.Reader].
type Book interface {
	Failing(ctx context.Context, in ledger.Span, limit int) ([]ledger.FailingSender, error)
	WorkingSince(ctx context.Context, since time.Time, organizations, fingerprints []string) ([]ledger.WorkingSender, error)
}

// Judge returns the senders that failed in the span and have not worked since, at most
// [MaxSenders], with what that means.
func Judge(ctx context.Context, book Book, span ledger.Span) ([]Sender, error) {
	failing, err := book.Failing(ctx, span, MaxSenders)
	if err != nil {
		return nil, err
	}
	all := make([]Sender, 0, len(failing))
	for _, f := range failing {
		all = append(all, Sender{FailingSender: f, Organization: organization.Of(f.Name, f.EHLO)})
	}
	known, err := newRelatives(ctx, book, all)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].Effect = known.judge(all[i])
	}
	failedAgain(all)
	return all, nil
}

// A Key identifies a sender.
type Key struct {
	Network           netip.Prefix
	EHLO, Fingerprint string
}

// Effects returns what the failures of the senders mean that failed in the span, for those that
// need the operator.
func Effects(ctx context.Context, book Book, span ledger.Span) (map[Key]Effect, error) {
	failing, err := Judge(ctx, book, span)
	if err != nil {
		return nil, err
	}
	effects := make(map[Key]Effect)
	for _, f := range failing {
		if f.Effect > None {
			effects[Key{f.Network, f.EHLO, f.Fingerprint}] = f.Effect
		}
	}
	return effects, nil
}

// An Effect is what failed handshakes mean for the mail of a sender.
type Effect int

// The effects, the worst first.
const (
	CannotDeliver Effect = iota + 1 // its attempts failed, and none completed since
	InPlaintext                     // it delivers, but in plaintext after failed handshakes
	SomeFail                        // some of its connections fail, while others deliver
	LastFailed                      // its last attempt failed for once; it may have been an accident

	None     Effect = 0  // it delivers
	Doubtful Effect = -1 // it is not known to send mail
)

// String returns the effect in words that follow the name of a sender.
func (e Effect) String() string {
	switch e {
	case CannotDeliver:
		return "cannot deliver"
	case InPlaintext:
		return "delivers in plaintext only"
	case SomeFail:
		return "delivers, but some of its connections fail"
	case LastFailed:
		return "failed in its last attempt"
	}
	return "unknown"
}

// MarshalText returns a short name: "cannot-deliver", "plaintext", "some-fail" or
// "last-failed".
func (e Effect) MarshalText() ([]byte, error) {
	switch e {
	case CannotDeliver:
		return []byte("cannot-deliver"), nil
	case InPlaintext:
		return []byte("plaintext"), nil
	case SomeFail:
		return []byte("some-fail"), nil
	}
	return []byte("last-failed"), nil
}

const (
	// attemptTime bounds one attempt: a client may connect several times in it, for each MX
	// host and address.
	attemptTime = time.Minute

	// retryTime is the longest mean time between the attempts of a sender with mail in its
	// queue. Senders retry after half an hour at least, and some a few times a day (RFC 5321,
	// Section 4.5.4.1). Scanners come daily or less.
	retryTime = 12 * time.Hour
)

// scannerCases are cases in which scanners fail too, by trying what no sender does today, or
// what a server must not accept.
var scannerCases = []string{"sslv2-hello", "tls10-only", "no-shared-suite", "plaintext-after-starttls", "tls-without-starttls"}

// relatives are senders that work, of the organizations of failing ones.
type relatives struct {
	working map[relative][]ledger.WorkingSender
}

// A relative has the same client software in the same organization.
type relative struct{ domain, fingerprint string }

func newRelatives(ctx context.Context, book Book, failing []Sender) (relatives, error) {
	known := relatives{make(map[relative][]ledger.WorkingSender)}
	var domains, fingerprints []string
	var since time.Time
	for _, f := range failing {
		if domain := f.Organization.Domain; domain != "" && !slices.Contains(domains, domain) {
			domains = append(domains, domain)
		}
		if !slices.Contains(fingerprints, f.Fingerprint) {
			fingerprints = append(fingerprints, f.Fingerprint)
		}
		if since.IsZero() || f.Last.Before(since) {
			since = f.Last
		}
	}
	if len(domains) == 0 {
		return known, nil
	}
	working, err := book.WorkingSince(ctx, since, domains, fingerprints)
	for _, w := range working {
		key := relative{w.Organization, w.Fingerprint}
		known.working[key] = append(known.working[key], w)
	}
	return known, err
}

// judge says what the failures of a sender mean, or [None], or [Doubtful].
func (known relatives) judge(f Sender) Effect {
	once := f.Last.Sub(f.Since) < attemptTime
	switch neighbour, elsewhere := known.worked(f); {
	case f.Diagnosis.Case == ledger.Scanner:
		return None
	case f.Plaintext.After(f.Since):
		return InPlaintext
	case once && (neighbour || elsewhere || f.OtherWorked.After(f.Last)):
		return None // the message was delivered with another connection
	case f.Fingerprint == "" && f.OtherWorked.After(f.Last):
		return None // a connection that broke before the ClientHello
	case !sendsMail(f, once):
		return Doubtful
	case neighbour || f.OtherWorked.After(f.Last):
		return SomeFail
	case once && !explained(f):
		return LastFailed
	}
	return CannotDeliver
}

// worked reports whether the same software of the organization worked after the sender's last
// failure, in the sender's network and elsewhere.
func (known relatives) worked(f Sender) (neighbour, elsewhere bool) {
	domain := f.Organization.Domain
	if domain == "" {
		return false, false
	}
	for _, w := range known.working[relative{domain, f.Fingerprint}] {
		if w.Worked.After(f.Last) {
			neighbour = neighbour || w.Network == f.Network
			elsewhere = elsewhere || w.Network != f.Network
		}
	}
	return neighbour, elsewhere
}

// sendsMail reports whether a failing client is a mail sender for all we know: it delivered
// before, it retries, it fails in a way that only senders do, or it is of an organization whose
// mail is known.
func sendsMail(f Sender, once bool) bool {
	switch {
	case !f.Worked.IsZero() || !f.OtherWorked.IsZero() || !f.Plaintext.IsZero():
		return true
	case f.EHLO == "":
		return false // a client without EHLO has not begun to send mail
	case !once && f.Last.Sub(f.Since)/time.Duration(max(1, f.Failed-1)) <= retryTime:
		return true
	case explained(f) && !slices.Contains(scannerCases, f.Diagnosis.Case):
		return true
	}
	return f.Organization.By == organization.ReverseDNS && f.Organization.Label() != organization.Other
}

// explained reports whether the failure is of a known case, at least likely.
func explained(f Sender) bool {
	return f.Diagnosis.Case != ledger.Unknown && interop.Confidence(f.Diagnosis.Confidence) >= interop.Likely
}

// failedAgain takes senders of one organization, with the same software, whose last attempts
// failed one after another for senders that cannot deliver: an organization with many hosts
// retries from another one.
func failedAgain(all []Sender) {
	type attempts struct {
		senders     []*Sender
		first, last time.Time
	}
	of := make(map[relative]*attempts)
	for i := range all {
		s := &all[i]
		if s.Effect != LastFailed || s.Organization.Domain == "" {
			continue
		}
		key := relative{s.Organization.Domain, s.Fingerprint}
		a := of[key]
		if a == nil {
			a = &attempts{first: s.Since}
			of[key] = a
		}
		a.senders = append(a.senders, s)
		if s.Since.Before(a.first) {
			a.first = s.Since
		}
		if s.Last.After(a.last) {
			a.last = s.Last
		}
	}
	for _, a := range of {
		if a.last.Sub(a.first) < attemptTime {
			continue
		}
		for _, s := range a.senders {
			s.Effect = CannotDeliver
		}
	}
}
