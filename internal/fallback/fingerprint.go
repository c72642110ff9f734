package fallback

import (
	"fmt"
	"slices"
	"time"
)

// unrelated is how many areas must bear witness before a fingerprint as a whole moves.
// Forgers can have that many; what they win is that networks nobody knows yet begin
// lower, get in there, and find the way up.
const unrelated = 3

// gotIn takes in, for the fingerprint as a whole, that one of its senders got in on the
// rung at.
func (l *Ladder) gotIn(s Sender, known *State, at Rung, now time.Time) []Decision {
	if s.Fingerprint == "" {
		return nil
	}
	decisions := l.fingerprints.expire(key{everywhere, s.Fingerprint}, now)
	whole := l.fingerprints.entries[key{everywhere, s.Fingerprint}]
	if whole == nil {
		whole = &entry{State: State{Network: everywhere, Fingerprint: s.Fingerprint, Rung: l.first, Seen: now}}
		decisions = append(decisions, l.fingerprints.add(whole, now)...)
	}
	whole.Seen, whole.changed = now, true
	whole.Used[at]++
	switch {
	case at < whole.Rung && at >= l.first:
		why := fmt.Sprintf("a sender of %v gets in on %v", known.Network, at)
		return append(decisions, whole.shift(MovedUp, at, l.first, why, now)...)
	case at > whole.Rung && whole.Used[whole.Rung] == 0 && known.Failed[whole.Rung] > 0 && known.Network.IsValid():
		return append(decisions, whole.witness(known, at, l.first, now)...)
	}
	return decisions
}

// witness takes in that a sender failed on the fingerprint's rung and got in on the rung at.
// One that merely fails everywhere is no witness: many scanners do.
func (s *State) witness(known *State, at, first Rung, now time.Time) []Decision {
	if from := area(known.Network); !slices.Contains(s.Witnesses, from) {
		s.Witnesses = append(slices.Clip(s.Witnesses), from) // the array is shared with stored states
	}
	if s.Helps == 0 || at < s.Helps {
		s.Helps = at
	}
	if len(s.Witnesses) < unrelated {
		return nil
	}
	why := fmt.Sprintf("senders of %d unrelated networks, %v the last, failed on %v and got in on %v or below, and nobody got in on %v",
		unrelated, known.Network, s.Rung, s.Helps, s.Rung)
	return s.shift(MovedDown, s.Helps, first, why, now)
}

// shift moves a fingerprint as a whole.
func (s *State) shift(kind Kind, to, first Rung, why string, now time.Time) []Decision {
	from := s.Rung
	s.put(to, first, why, now)
	return s.decide(kind, from, why, now)
}
