// Package ladder decides which TLS handshake a sender is offered.
//
// Some clients do not survive a session ticket at a certain moment, or any ticket, or
// TLS 1.3, and say nothing when they leave (golang/go#70232). The ladder is an ordered list of
// more and more careful handshakes, the rungs. A sender that closes silently at a point
// that tells something is offered the rung that cures it when it comes again, and what
// worked is remembered:
//
//	rung, why := ladder.Choose(sender, time.Now()) // at the ClientHello
//	...
//	decisions := ladder.Learn(sender, rung, outcome, time.Now()) // when its end is known
//
// It goes down fast and up slowly: hours later, then days, one connection is offered the
// next better rung while all others get the known one.
//
// # Who moves whom
//
// Memory belongs to a network and a ClientHello fingerprint together, and only their own
// handshakes change it. A fingerprint as a whole only decides where networks that are not known yet
// begin. It moves when senders of several unrelated networks failed on its rung and got in
// on a lower one, and nobody ever got in on its rung.
//
// # Limits
//
// The package does no input or output and reads no clock: times are the caller's, and
// may jump. What it remembers is bounded; when there is no more room, the least recently seen of the
// networks that have most of it are forgotten. A [Ladder] is safe for concurrent use.
package fallback

import (
	"net/netip"
	"sync"
	"time"

	"postern/handshake"
)

// Bounds of the memory. A state takes about 600 bytes.
const (
	maxSenders      = 1 << 16 // a large site hears of some 10,000 networks in a week
	maxFingerprints = 1 << 12 // the mail clients of the world have some hundreds; the rest is room for forgers
)

// A Ladder knows what each sender is offered. Make one with [New].
type Ladder struct {
	mu           sync.Mutex
	first        Rung
	senders      memory // by network and fingerprint
	fingerprints memory // by fingerprint alone, the network being everywhere
	pins         []Pin  // longest first
}

// New returns a Ladder that knows nobody and has no pins. New senders begin at first, and
// nobody is offered a better rung than that, except by a pin.
func New(first Rung) *Ladder {
	return &Ladder{
		first:        first,
		senders:      memory{max: maxSenders, entries: make(map[key]*entry)},
		fingerprints: memory{max: maxFingerprints, entries: make(map[key]*entry)},
	}
}

// Choose returns what s is to be offered now, and why in a few words for an operator. A
// sender that is due to try a better rung gets it in this call, and the known rung in the
// ones after it.
func (l *Ladder) Choose(s Sender, now time.Time) (Rung, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pin, ok := l.pinned(s.Addr); ok {
		return pin.Rung, pin.words()
	}
	known := l.senders.recall(s.key(), now)
	switch {
	case known == nil:
		return l.start(s.Fingerprint, now)
	case known.due(l.first, now):
		known.changed = true
		return known.retry(now)
	default:
		return known.Rung, known.words()
	}
}

// Learn takes in how a handshake of s ended that was offered the rung at, and returns the
// decisions that it caused, in order. Where a pin holds nothing is learned.
func (l *Ladder) Learn(s Sender, at Rung, end handshake.Outcome, now time.Time) []Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, pinned := l.pinned(s.Addr); pinned || at >= rungs {
		return nil
	}
	if end == handshake.ClosedAfterTicket && !at.tickets() {
		end = handshake.Inconclusive // there was no ticket to close after
	}
	decisions := l.senders.expire(s.key(), now)
	known, dropped := l.know(s, end, now)
	decisions = append(decisions, dropped...)
	if known == nil {
		return decisions
	}
	known.Seen, known.changed = now, true
	decisions = append(decisions, known.learn(at, end, l.first, now)...)
	if end == handshake.Worked {
		decisions = append(decisions, l.gotIn(s, &known.State, at, now)...)
	}
	return decisions
}

// start is where a sender begins of whose network nothing is known.
func (l *Ladder) start(fingerprint string, now time.Time) (Rung, string) {
	whole := l.fingerprints.recall(key{everywhere, fingerprint}, now)
	if whole == nil || whole.Rung == l.first {
		return l.first, "first rung, where new senders begin"
	}
	return whole.Rung, "not seen here before; of this fingerprint: " + whole.Why
}

// know returns the memory of s, and makes it if end is worth it: something that tells
// nothing is not, unless the sender began on a rung that has yet to prove itself.
func (l *Ladder) know(s Sender, end handshake.Outcome, now time.Time) (*entry, []Decision) {
	if known := l.senders.entries[s.key()]; known != nil {
		return known, nil
	}
	rung, why := l.start(s.Fingerprint, now)
	if end == handshake.Inconclusive && rung == l.first {
		return nil, nil
	}
	known := &entry{State: State{Network: Network(s.Addr), Fingerprint: s.Fingerprint, Rung: rung}}
	if rung > l.first {
		known.Since, known.Why, known.RetryAt = now, why, now.Add(wait(0))
	}
	known.Seen = now
	return known, l.senders.add(known, now)
}

// A Decision is a change of what a sender is offered, or the end of a try to change it.
type Decision struct {
	At          time.Time
	Kind        Kind
	Network     netip.Prefix // ::/0 where a fingerprint as a whole is meant
	Fingerprint string       // empty where it concerns a network's every sender
	From, To    Rung
	Why         string // for an operator, without the fields above where they are clear from it
}

// A Kind says what happened in a [Decision].
type Kind string

const (
	// MovedDown is from a rung that failed to a more careful one.
	MovedDown Kind = "moved-down"
	// MovedBack is from a more careful rung, which did not help, to one not tried yet or
	// to the first.
	MovedBack Kind = "moved-back"
	// MovedUp is from a rung that works to a better one that works too.
	MovedUp Kind = "moved-up"
	// Retried is a better rung tried again in vain: From that, To the one kept.
	Retried Kind = "retried"
	// Pinned is a pin set or changed. From is the pin's rung before, or the first rung.
	Pinned Kind = "pinned"
	// Unpinned is a pin removed. To is the first rung, though senders may have learned
	// another.
	Unpinned Kind = "unpinned"
	// Forgotten is a sender that was not seen for [Memory], or several that had to make
	// room: then Network and Fingerprint are empty. To is the first rung.
	Forgotten Kind = "forgotten"
)

// decide is a decision on s.
func (s *State) decide(kind Kind, from Rung, why string, now time.Time) []Decision {
	return []Decision{{
		At: now, Kind: kind,
		Network: s.Network, Fingerprint: s.Fingerprint,
		From: from, To: s.Rung, Why: why,
	}}
}
