package fallback

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"postern/internal/admission"
	"postern/sessionticket"
)

// Everywhere is the Network of states and decisions of a fingerprint in all networks.
var Everywhere = netip.PrefixFrom(netip.IPv6Unspecified(), 0)

// minAreas is how many areas it takes to change the mode of a fingerprint. Forgers can have
// that many; all they gain is that new senders start in a more compatible mode, deliver, and
// recover.
const minAreas = 3

// learnFingerprint records, for the fingerprint in all networks, that one of its senders
// completed a handshake in the given mode.
func (sel *Selector) learnFingerprint(s Sender, sender *State, mode sessionticket.Mode, now time.Time) []Decision {
	if s.Fingerprint == "" {
		return nil
	}
	decisions := sel.fingerprints.expire(key{Everywhere, s.Fingerprint}, now)
	all := sel.fingerprints.entries[key{Everywhere, s.Fingerprint}]
	if all == nil {
		all = &entry{State: State{Network: Everywhere, Fingerprint: s.Fingerprint, Mode: sel.initial, Seen: now}, used: now}
		decisions = append(decisions, sel.fingerprints.add(all, now)...)
	}
	before := all.State
	defer func() { sel.noteNews(all, &before) }()
	all.Seen, all.used, all.changed = now, now, true
	all.Worked[mode]++
	switch {
	case safer(all.Mode, mode) && !safer(sel.initial, mode):
		why := fmt.Sprintf("a sender in %v completed in mode %v", sender.Network, mode)
		return append(decisions, all.change(Recovered, mode, sel.initial, why, now)...)
	case safer(mode, all.Mode) && all.Worked[all.Mode] == 0 && sender.Failed[all.Mode] > 0 && sender.Mode == mode && sender.Network.IsValid():
		return append(decisions, all.addArea(sender, mode, sel.initial, now)...)
	}
	return decisions
}

// addArea records that a sender failed in the fingerprint's mode and completed in the given
// one. A sender that fails in all modes does not count: many scanners do.
func (s *State) addArea(sender *State, mode, initial sessionticket.Mode, now time.Time) []Decision {
	if len(s.Areas) == 0 || safer(s.Helps, mode) {
		s.Helps = mode
	}
	if from := admission.Wide(sender.Network.Addr()); !slices.Contains(s.Areas, from) {
		s.Areas = append(slices.Clip(s.Areas), from) // stored states share the array
	}
	if len(s.Areas) < minAreas {
		return nil
	}
	why := fmt.Sprintf("senders in %d unrelated networks, %v the last, failed in mode %v and completed in mode %v or a safer one; none completed in mode %v",
		minAreas, sender.Network, s.Mode, s.Helps, s.Mode)
	return s.change(FellBack, s.Helps, initial, why, now)
}

// change changes the mode of a fingerprint. The next change needs evidence of its own.
func (s *State) change(kind Kind, to, initial sessionticket.Mode, why string, now time.Time) []Decision {
	from := s.Mode
	s.set(to, initial, why, now)
	s.Areas, s.Helps = nil, 0
	return s.decide(kind, from, why, now)
}
