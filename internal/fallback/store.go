package fallback

import "time"

// Changed returns the states that have changed since the last call, in no order, to be
// stored. There are at most as many as are remembered: some 70,000. A
// state that had to make room for others is not told of; it does no harm when it is restored.
func (l *Ladder) Changed() []State {
	l.mu.Lock()
	defer l.mu.Unlock()
	var states []State
	for _, m := range []*memory{&l.senders, &l.fingerprints} {
		for _, known := range m.entries {
			if known.changed {
				known.changed = false
				states = append(states, known.State)
			}
		}
	}
	return states
}

// Restore takes stored states back, in place of those with the same keys. States that are
// not possible are left out, and if there are too many those that [Ladder.Learn] would
// forget. If the first rung is not the one they were made with, senders that had not left that
// begin at the new one, and nobody is on a better one.
func (l *Ladder) Restore(states []State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, state := range states {
		if state.Rung >= rungs || state.Helps >= rungs || state.Retries < 0 || state.Debt < 0 {
			continue
		}
		if state.Since.IsZero() || state.Rung < l.first {
			state.put(l.first, l.first, "", time.Time{})
		}
		of := &l.senders
		if state.Network == everywhere {
			of = &l.fingerprints
		}
		of.entries[key{state.Network, state.Fingerprint}] = &entry{State: state}
	}
	l.senders.shrink(l.senders.max)
	l.fingerprints.shrink(l.fingerprints.max)
}
