package ledger

import "net/netip"

// A senderTally sums what a batch of handshakes adds to the counts of each sender, so that a sender
// with many of them costs two writes.
type senderTally map[senderName]*senderCounts

// A senderName is what identifies a sender.
type senderName struct {
	network           netip.Prefix
	ehlo, fingerprint string
}

// senderCounts are those that are not stored yet.
type senderCounts struct {
	id          int64
	more        bool // there are any
	byOutcome   [Plaintext + 1]int64
	returned    int64
	first, seen int64 // in milliseconds since 1970
	last        int64 // id of the newest handshake
}

// add counts h for its sender and returns the sender's id. The first handshake of a batch is
// stored at once, which makes the sender known.
func (t senderTally) add(s *store, h Handshake, returned bool) (sender int64, err error) {
	name := senderName{h.Network, h.EHLO, h.Fingerprint}
	n := t[name]
	if n == nil {
		n = new(senderCounts)
		if n.id, err = h.countFirst(s, returned); err != nil {
			return 0, err
		}
		t[name] = n
		return n.id, nil
	}
	at := unixMilli(h.At)
	if !n.more {
		n.more, n.first, n.seen = true, at, at
	}
	n.first, n.seen, n.last = min(n.first, at), max(n.seen, at), h.ID
	if Full <= h.Outcome && h.Outcome <= Plaintext && !h.Probe {
		n.byOutcome[h.Outcome]++
	}
	if returned {
		n.returned++
	}
	return n.id, nil
}

// countFirst stores the counts of one handshake.
func (h Handshake) countFirst(s *store, returned bool) (sender int64, err error) {
	is := func(o Outcome) bool { return h.Outcome == o && !h.Probe }
	counts := []any{is(Full), is(Resumed), is(Failed), is(Plaintext), returned, h.ID}
	return s.number(`INSERT INTO senders
		(full, resumed, failed, plaintext, returned, last, network, ehlo, fingerprint, first, seen)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?10, ?10)
		ON CONFLICT DO UPDATE SET first = min(first, excluded.first), seen = max(seen, excluded.seen),`+addCounts+` RETURNING id`,
		append(counts, prefixBytes(h.Network), h.EHLO, h.Fingerprint, unixMilli(h.At))...)
}

// write adds the sums to those stored.
func (t senderTally) write(s *store) error {
	for _, n := range t {
		if !n.more {
			continue
		}
		err := s.exec(`UPDATE senders SET full = full + ?, resumed = resumed + ?, failed = failed + ?,
			plaintext = plaintext + ?, returned = returned + ?, last = ?,
			first = min(first, ?), seen = max(seen, ?) WHERE id = ?`,
			n.byOutcome[Full], n.byOutcome[Resumed], n.byOutcome[Failed], n.byOutcome[Plaintext], n.returned, n.last,
			n.first, n.seen, n.id)
		if err != nil {
			return err
		}
	}
	return nil
}
