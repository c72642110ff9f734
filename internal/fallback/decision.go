package fallback

import (
	"net/netip"
	"time"
)

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
