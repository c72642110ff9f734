package fallback

import (
	"slices"
	"time"
)

// Hosts that receive mail for the same domains share their states, so that a sender that failed at
// one is answered rightly at the next. Each host learns from its own handshakes only. When that
// changes how a sender is answered, or what speaks against its mode, it stamps the state and gives
// it to the others ([Selector.News]), which take what has the later stamp ([Selector.Adopt]).
//
// A stamp counts changes and reads no clock, so clocks that differ do no harm. Of two states the
// same one wins at every host, in whatever order and however often they arrive. What lost is not
// added to the winner: evidence never counts for more than it does at one host.

// A Stamp orders the changes of one state at all hosts.
type Stamp struct {
	Changes uint64 // of the state, by any host
	Host    string // that made the last one
}

// After reports whether s is the later of two stamps. Hosts that changed a state at the same time
// have the order of their names.
func (s Stamp) After(other Stamp) bool {
	if s.Changes != other.Changes {
		return s.Changes > other.Changes
	}
	return s.Host > other.Host
}

// Share makes sel stamp its states with the name of its host, which no other one has. It is
// called before sel chooses and learns.
func (sel *Selector) Share(host string) {
	sel.mu.Lock()
	defer sel.mu.Unlock()
	sel.host = host
}

// HasNews receives a value when [Selector.News] has states to return.
func (sel *Selector) HasNews() <-chan struct{} { return sel.hasNews }

// News returns the states that other hosts have to know since the last call, in no order, at most
// max of them; there are more then. Without [Selector.Share] there are none.
func (sel *Selector) News(max int) []State {
	sel.mu.Lock()
	defer sel.mu.Unlock()
	var states []State
	for _, m := range []*memory{&sel.senders, &sel.fingerprints} {
		for k := range m.news {
			if len(states) == max {
				sel.ring()
				return states
			}
			delete(m.news, k)
			states = append(states, m.entries[k].State)
		}
	}
	return states
}

// Stamped returns all states that were ever shared, in no order: what a host that lost touch with
// the others gives to them.
func (sel *Selector) Stamped() []State {
	sel.mu.Lock()
	defer sel.mu.Unlock()
	var states []State
	for known := range sel.all() {
		if known.Stamp.Changes > 0 {
			states = append(states, known.State)
		}
	}
	return states
}

// noteNews stamps a state if it differs from what it was before in a way that other hosts have to
// know.
func (sel *Selector) noteNews(known *entry, before *State) {
	if sel.host == "" {
		return
	}
	first := false // handshake that completed in its mode
	for mode := range modes {
		first = first || known.Worked[mode] > 0 && before.Worked[mode] == 0
	}
	// Of a sender that was never in doubt others need not know that its handshakes complete:
	// if one ever doubts, this host answers ([Selector.Adopt]).
	if !known.answersAs(before) || first && known.Stamp.Changes > 0 {
		sel.stamp(known, known.Stamp)
	}
}

// stamp makes the state later than another one, and news.
func (sel *Selector) stamp(known *entry, than Stamp) {
	known.Stamp = Stamp{Changes: than.Changes + 1, Host: sel.host}
	known.changed = true
	sel.tell(known)
}

// tell makes a state news, unless it was evicted already.
func (sel *Selector) tell(known *entry) {
	if m := sel.memoryOf(known.Network); m.entries[known.key()] == known {
		m.news[known.key()] = struct{}{}
		sel.ring()
	}
}

func (sel *Selector) ring() {
	select {
	case sel.hasNews <- struct{}{}:
	default:
	}
}

// answersAs reports whether a sender gets the same answers now and in future with s as with
// before. Handshakes that complete in the known mode change counts only.
func (s *State) answersAs(before *State) bool {
	return s.Mode == before.Mode && s.Penalty == before.Penalty && s.Tried == before.Tried &&
		(s.Since.IsZero() || s.Confirmed == before.Confirmed) && s.Retrying == before.Retrying && s.Retries == before.Retries &&
		s.Trying == before.Trying && s.Trial == before.Trial && s.TrialBy == before.TrialBy && s.TrialAt.Equal(before.TrialAt) &&
		s.Trials == before.Trials && s.Helped == before.Helped && s.Helps == before.Helps &&
		len(s.Areas) == len(before.Areas) &&
		slices.EqualFunc(s.Closers, before.Closers, func(a, b Closer) bool {
			return a.Addr == b.Addr && a.Outcome == b.Outcome && a.Penalty == b.Penalty && a.At.Sub(b.At).Abs() < trialTime
		})
}

// Adopt takes states of other hosts and returns the changes of modes, for operators. It ignores
// invalid ones. If sel knows of handshakes that completed in a mode and the other host knows of
// none, it answers with news; and if that host gave up the mode, sel keeps it: with the handshakes
// of both, one host would have.
func (sel *Selector) Adopt(states []State, now time.Time) []Decision {
	sel.mu.Lock()
	defer sel.mu.Unlock()
	var decisions []Decision
	for _, theirs := range states {
		if !theirs.valid() {
			continue
		}
		theirs.fit(sel.initial, now)
		m := sel.memoryOf(theirs.Network)
		known := m.recall(theirs.key(), now)
		if known == nil {
			known = &entry{State: State{Network: theirs.Network, Fingerprint: theirs.Fingerprint, Mode: sel.initial, Seen: theirs.Seen}, used: now}
			decisions = append(decisions, m.add(known, now)...)
		}
		decisions = append(decisions, sel.merge(known, theirs, now)...)
	}
	return decisions
}

// merge takes what theirs has more than a state.
func (sel *Selector) merge(known *entry, theirs State, now time.Time) []Decision {
	mine := known.State
	if theirs.Stamp == mine.Stamp {
		return nil // it is this host's own, or arrived before
	}
	if mine.Stamp.After(theirs.Stamp) && mine.Stamp.Host == sel.host {
		sel.tell(known) // who sent it late may have replaced what this host said
	}
	merged, later := mine, theirs.Stamp.After(mine.Stamp)
	if keeps := safer(theirs.Mode, mine.Mode) && mine.Worked[mine.Mode] > 0 && theirs.Worked[mine.Mode] == 0; later && !keeps {
		merged = theirs
	}
	unknown := false // to them
	for mode := range modes {
		unknown = unknown || mine.Worked[mode] > 0 && theirs.Worked[mode] == 0
		merged.Worked[mode] = max(mine.Worked[mode], theirs.Worked[mode])
		merged.Failed[mode] = max(mine.Failed[mode], theirs.Failed[mode])
	}
	merged.Seen = latest(mine.Seen, theirs.Seen)
	merged.Worked13 = latest(mine.Worked13, theirs.Worked13)
	known.State, known.used, known.changed = merged, now, true
	if later && unknown {
		sel.stamp(known, theirs.Stamp)
	}
	return adopted(&mine, known, theirs.Stamp.Host, now)
}

// adopted returns the decision that a host made, if known has another mode than mine.
func adopted(mine *State, known *entry, host string, now time.Time) []Decision {
	kind := FellBack
	switch {
	case known.Mode == mine.Mode:
		return nil
	case safer(mine.Mode, known.Mode):
		kind = Recovered
	}
	why := "host " + host
	if known.Why != "" {
		why += ": " + known.Why
	}
	return known.decide(kind, mine.Mode, why, now)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
