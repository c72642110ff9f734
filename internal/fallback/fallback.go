// Package fallback chooses the TLS mode for each sender's handshake.
//
// Some clients fail on a session ticket that arrives at a certain moment, on any ticket, or
// on TLS 1.3, and close the connection without an alert (https://go.dev/issue/70232). The
// package orders the modes of package sessionticket from the one that changes nothing to the
// most compatible one. After a failure that points to the mode, the sender falls back to the
// mode that avoids it, and the result is remembered:
//
//	mode, why := selector.Choose(sender, time.Now()) // at the ClientHello
//	...
//	decisions := selector.Learn(sender, mode, outcome, time.Now()) // when the outcome is known
//
// Many silent closes are not about the mode: the client refuses the certificate, or is a
// monitor. So except from stock, a sender falls back only to a mode that helped it in a trial
// of one connection, and to TLS 1.2 only if it then failed again without.
//
// A sender falls back fast and recovers slowly: after hours, later after days, one connection
// retries the next less compatible mode while all others get the known one.
//
// # What changes a sender's mode
//
// A state belongs to a network and a ClientHello fingerprint together, and only their own
// handshakes change it. The state of a fingerprint alone decides only the initial mode for
// networks that have no state yet. It changes when senders of several unrelated networks
// failed in its mode and completed in a more compatible one, and none ever completed in its
// mode.
//
// # Several hosts
//
// Hosts that receive mail for the same domains can share states: see [Selector.Share].
//
// # Limits
//
// The package does no input or output and reads no clock: times are the caller's. Their wall clock
// may jump: within a process ages are those of the monotonic clock, if times are from time.Now.
// The number of states is bounded; when it is reached, the networks with the most states lose
// their least recently seen ones. A [Selector] is safe for concurrent use.
package fallback

import (
	"net/netip"
	"sync"
	"time"

	"postern/handshake"
	"postern/internal/admission"
	"postern/sessionticket"
)

// Bounds of the memory. A state takes about 600 bytes.
const (
	maxSenders      = 1 << 16 // a large site sees some 10,000 networks in a week
	maxFingerprints = 1 << 12 // there are some hundreds of mail clients; the rest is for forged ones
)

// A Selector chooses modes. Make one with [New].
type Selector struct {
	mu           sync.Mutex
	initial      sessionticket.Mode
	senders      memory // by network and fingerprint
	fingerprints memory // by fingerprint alone, with the network Everywhere
	pins         []Pin  // longest prefix first

	host    string        // of this selector, among those that share states; empty: it shares none
	hasNews chan struct{} // for the others
}

// New returns a Selector without states and pins. New senders start in the initial mode, and
// only a pin gives a sender a less compatible one.
func New(initial sessionticket.Mode) *Selector {
	return &Selector{
		initial:      initial,
		senders:      newMemory(maxSenders, initial),
		fingerprints: newMemory(maxFingerprints, initial),
		hasNews:      make(chan struct{}, 1),
	}
}

// A Sender is the client of one handshake.
type Sender struct {
	Addr        netip.Addr // zero if unknown
	Fingerprint string     // of its ClientHello, the same whether it resumes or not
}

// host returns the address without its zone, and IPv4 as such.
func (s Sender) host() netip.Addr { return s.Addr.Unmap().WithZone("") }

// Choose returns the mode for a handshake of s, and the reason for operators. When s is due
// to retry a less compatible mode, this call returns that one and the next calls the known
// one.
func (sel *Selector) Choose(s Sender, now time.Time) (sessionticket.Mode, string) {
	return sel.answer(s, now, true)
}

// Next returns what [Selector.Choose] would return for s, and changes nothing.
func (sel *Selector) Next(s Sender, now time.Time) (sessionticket.Mode, string) {
	return sel.answer(s, now, false)
}

// answer is Choose if the handshake begins, and Next if not.
func (sel *Selector) answer(s Sender, now time.Time, begins bool) (sessionticket.Mode, string) {
	sel.mu.Lock()
	defer sel.mu.Unlock()
	if pin, ok := sel.pinned(s.Addr); ok {
		return pin.Mode, pin.reason()
	}
	known := sel.senders.recall(s.key(), now)
	if known == nil {
		return sel.start(s.Fingerprint, now)
	}
	before, after := known.State, known.State
	mode, why, attempt := after.choose(s.host(), sel.initial, now)
	if attempt && begins {
		known.State, known.changed = after, true
		sel.noteNews(known, &before)
	}
	return mode, why
}

// ChooseForProbe returns the mode for a handshake of s as if its network had no state: that
// of a new sender with its fingerprint. It changes no state, and neither may its outcome.
func (sel *Selector) ChooseForProbe(s Sender, now time.Time) sessionticket.Mode {
	sel.mu.Lock()
	defer sel.mu.Unlock()
	if pin, ok := sel.pinned(s.Addr); ok {
		return pin.Mode
	}
	mode, _ := sel.start(s.Fingerprint, now)
	return mode
}

// Learn records the outcome of a handshake of s in the given mode, and returns the decisions
// that it caused, in order. It ignores the outcomes of pinned senders.
func (sel *Selector) Learn(s Sender, mode sessionticket.Mode, outcome handshake.Outcome, now time.Time) []Decision {
	sel.mu.Lock()
	defer sel.mu.Unlock()
	if _, pinned := sel.pinned(s.Addr); pinned || int(mode) >= modes {
		return nil
	}
	if (outcome == handshake.ClosedAfterTicket || outcome == handshake.ClosedAfterReply) && !givesTickets(mode) {
		outcome = handshake.Inconclusive // there was no ticket to close after
	}
	decisions := sel.senders.expire(s.key(), now)
	known, evicted := sel.know(s, outcome, now)
	decisions = append(decisions, evicted...)
	if known == nil {
		return decisions
	}
	before := known.State
	known.Seen, known.used, known.changed = now, now, true
	decisions = append(decisions, known.learn(s.host(), mode, outcome, sel.initial, now)...)
	sel.noteNews(known, &before)
	if outcome == handshake.Worked {
		decisions = append(decisions, sel.learnFingerprint(s, &known.State, mode, now)...)
	}
	return decisions
}

// start returns the mode for a sender of a network that has no state.
func (sel *Selector) start(fingerprint string, now time.Time) (sessionticket.Mode, string) {
	all := sel.fingerprints.recall(key{Everywhere, fingerprint}, now)
	if all == nil || all.Mode == sel.initial {
		return sel.initial, "initial mode for new senders"
	}
	return all.Mode, "new sender with a known fingerprint: " + all.Why
}

// know returns the state of s and creates it if the outcome is worth it: an inconclusive one
// is not, unless the sender started in a mode that is not confirmed yet.
func (sel *Selector) know(s Sender, outcome handshake.Outcome, now time.Time) (*entry, []Decision) {
	if known := sel.senders.entries[s.key()]; known != nil {
		return known, nil
	}
	mode, why := sel.start(s.Fingerprint, now)
	if outcome == handshake.Inconclusive && mode == sel.initial {
		return nil, nil
	}
	known := &entry{State: State{Network: admission.Network(s.Addr), Fingerprint: s.Fingerprint, Mode: mode}}
	if safer(mode, sel.initial) {
		known.Since, known.Why, known.RetryAt = now, why, now.Add(wait(0))
	}
	known.Seen = now // or it would be the first to be evicted
	return known, sel.senders.add(known, now)
}

// A Decision is a change of a sender's mode, or an attempt to change it.
type Decision struct {
	At          time.Time          `json:"time"`
	Kind        Kind               `json:"kind"`
	Network     netip.Prefix       `json:"network"`       // ::/0 for a fingerprint in all networks
	Fingerprint string             `json:"ja4,omitempty"` // empty for all senders of the network
	From        sessionticket.Mode `json:"from"`
	To          sessionticket.Mode `json:"to"`
	Why         string             `json:"why"` // for operators; does not repeat the fields above
}

// A Kind says what a [Decision] did.
type Kind string

const (
	// FellBack is a change from a mode that failed to a more compatible one.
	FellBack Kind = "fell-back"
	// Reverted is a change from a more compatible mode that failed too to one not tried
	// yet, or to the initial mode.
	Reverted Kind = "reverted"
	// Recovered is a change to a less compatible mode that works.
	Recovered Kind = "recovered"
	// RetryFailed is an attempt in a less compatible mode, From, that failed. The sender
	// stays in To.
	RetryFailed Kind = "retry-failed"
	// Pinned is a pin set or changed. From is the mode of the previous pin, or the initial mode.
	Pinned Kind = "pinned"
	// Unpinned is a pin removed. To is the initial mode, though senders may have states
	// with others.
	Unpinned Kind = "unpinned"
	// Forgotten is a sender not seen for [MaxAge], or several that were evicted: then
	// Network and Fingerprint are empty. To is the initial mode.
	Forgotten Kind = "forgotten"
)

// decide returns a decision on s.
func (s *State) decide(kind Kind, from sessionticket.Mode, why string, now time.Time) []Decision {
	return []Decision{{
		At: now, Kind: kind,
		Network: s.Network, Fingerprint: s.Fingerprint,
		From: from, To: s.Mode, Why: why,
	}}
}
