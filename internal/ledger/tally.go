package ledger

// A tally sums what a batch of handshakes adds to the days, so that senders that come
// often within one cost one write.
type tally map[dayKey]*dayCounts

type dayKey struct {
	day, sender           int64
	version, suite, group uint16
}

type dayCounts struct {
	byOutcome [Plaintext + 1]int64
	returned  int64
	last      int64 // the number of the newest handshake
}

// add counts h for its sender and for all.
func (t tally) add(h Handshake, sender int64, returned bool) {
	for _, of := range []int64{sender, allSenders} {
		key := dayKey{dayOf(h.At), of, h.Version, h.Suite, h.Group}
		counts := t[key]
		if counts == nil {
			counts = new(dayCounts)
			t[key] = counts
		}
		if Full <= h.Outcome && h.Outcome <= Plaintext {
			counts.byOutcome[h.Outcome]++
		}
		if returned {
			counts.returned++
		}
		counts.last = h.ID
	}
}

// allSenders stands for all of them in days.
const allSenders = 0

// write adds the sums to those in the file.
func (t tally) write(s *store) error {
	for key, n := range t {
		err := s.exec(`INSERT INTO days
			(day, sender, version, suite, "group", full, resumed, failed, plaintext, returned, last)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET `+sumUp,
			key.day, key.sender, key.version, key.suite, key.group,
			n.byOutcome[Full], n.byOutcome[Resumed], n.byOutcome[Failed], n.byOutcome[Plaintext], n.returned, n.last)
		if err != nil {
			return err
		}
	}
	return nil
}
