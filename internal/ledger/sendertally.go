package ledger

import (
	"net/netip"

	"postern/internal/organization"
)

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
	run         run
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
	n.run.add(h)
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
	var r run
	r.add(h)
	return s.number(`INSERT INTO senders
		(full, resumed, failed, plaintext, returned, last, network, ehlo, fingerprint, first, seen,
			name, organization, worked, delivered, failing, failing_since, failing_last, host)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?10, ?10, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET first = min(first, excluded.first), seen = max(seen, excluded.seen),
			name = iif(excluded.name <> '', excluded.name, name),
			organization = iif(excluded.name <> '' OR name = '', excluded.organization, organization),
			worked = max(worked, excluded.worked), delivered = max(delivered, excluded.delivered),
			failing_since = iif(excluded.worked > 0 OR failing = 0, excluded.failing_since, failing_since),
			failing = iif(excluded.worked > 0, excluded.failing, failing + excluded.failing),
			failing_last = max(failing_last, excluded.failing_last),`+addCounts+` RETURNING id`,
		is(Full), is(Resumed), is(Failed), is(Plaintext), returned, h.ID, prefixBytes(h.Network), h.EHLO, h.Fingerprint, unixMilli(h.At),
		h.Name, organization.Of(h.Name, h.EHLO).Domain, r.worked, r.delivered, r.failing, r.since, r.last, s.host)
}

// write adds the sums to those stored.
func (t senderTally) write(s *store) error {
	for _, n := range t {
		if !n.more {
			continue
		}
		err := s.exec(`UPDATE senders SET full = full + ?, resumed = resumed + ?, failed = failed + ?,
			plaintext = plaintext + ?, returned = returned + ?, last = ?,
			first = min(first, ?), seen = max(seen, ?),
			worked = max(worked, ?9), delivered = max(delivered, ?),
			failing_since = iif(?9 > 0 OR failing = 0, ?, failing_since),
			failing = iif(?9 > 0, ?12, failing + ?12), failing_last = max(failing_last, ?) WHERE id = ?`,
			n.byOutcome[Full], n.byOutcome[Resumed], n.byOutcome[Failed], n.byOutcome[Plaintext], n.returned, n.last,
			n.first, n.seen, n.run.worked, n.run.delivered, n.run.since, n.run.failing, n.run.last, n.id)
		if err != nil {
			return err
		}
	}
	return nil
}
