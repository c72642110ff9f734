package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"postern/internal/admission"
	"slices"
)

// A holding is what a network has in the ledger: handshakes, what belongs to them, and senders.
// Anybody can have as many of them as they like, so when the file is full those of the networks
// with the most go.
type holding struct {
	network          netip.Prefix
	sessions, failed int64
	transcripts      int64 // bytes
	senders          int64
}

// About what a row and what belongs to it take with their index entries, in bytes.
const (
	sessionSize = 200
	failureSize = 700 // in addition: where it stopped, diagnoses with their evidence
	senderSize  = 450 // with its counts of a day
)

// rows is about the size without transcripts.
func (h holding) rows() int64 {
	return h.sessions*sessionSize + h.failed*failureSize + h.senders*senderSize
}

func (h holding) size() int64 { return h.rows() + h.transcripts }

// holdings sums what a batch adds to each network.
type holdings map[netip.Prefix]holding

// add adds a handshake with its compressed transcript.
func (all holdings) add(h Handshake, transcript []byte) {
	of := all[h.Network]
	of.sessions++
	if h.Outcome == Failed {
		of.failed++
	}
	of.transcripts += int64(len(transcript))
	all[h.Network] = of
}

// write adds the sums to those stored.
func (all holdings) write(s *store) error {
	for network, add := range all {
		err := s.exec(`UPDATE networks SET sessions = sessions + ?, failed = failed + ?, transcripts = transcripts + ? WHERE network = ?`,
			add.sessions, add.failed, add.transcripts, prefixBytes(network))
		if err != nil {
			return err
		}
	}
	return nil
}

// A cut is a network that has to give something up.
type cut struct {
	holding
	keep int64 // bytes
}

// cuts returns which networks have to give how much up to free so many bytes: those with the
// most, in the areas with the most. Those with little give nothing.
func cuts(all []holding, free int64) (due []cut) {
	areas := make(map[netip.Prefix][]holding)
	sizes := make(map[netip.Prefix]int64)
	for _, h := range all {
		area := admission.Wide(h.network.Addr())
		areas[area] = append(areas[area], h)
		sizes[area] += h.size()
	}
	line := level(slices.Collect(maps.Values(sizes)), free)
	for area, size := range sizes {
		if size <= line {
			continue
		}
		var members []int64
		for _, h := range areas[area] {
			members = append(members, h.size())
		}
		keep := level(members, size-line)
		for _, h := range areas[area] {
			if h.size() > keep {
				due = append(due, cut{h, keep})
			}
		}
	}
	slices.SortFunc(due, func(a, b cut) int { return cmp.Compare(b.size()-b.keep, a.size()-a.keep) })
	return due
}

// level returns the size to which the largest have to come down to free so many bytes.
func level(sizes []int64, free int64) int64 {
	slices.SortFunc(sizes, func(a, b int64) int { return cmp.Compare(b, a) })
	var sum int64
	for i, size := range sizes {
		n, next := int64(i+1), int64(0)
		if i+1 < len(sizes) {
			next = sizes[i+1]
		}
		if sum += size; sum-n*next >= free {
			return (sum - free) / n
		}
	}
	return 0
}

// cutNetworks frees about so many bytes. It reports whether there was something to free.
func (s *store) cutNetworks(free int64) (bool, error) {
	q := &query{}
	q.add(`SELECT network, sessions, failed, transcripts, senders FROM networks`)
	all, err := rows(context.Background(), s.conn, q, func(scan scanner) (h holding, err error) {
		err = scan(prefixInto(&h.network), &h.sessions, &h.failed, &h.transcripts, &h.senders)
		return h, err
	})
	if err != nil {
		return false, err
	}
	due := cuts(all, free)
	for _, c := range due {
		if err := s.cut(c); err != nil {
			return false, err
		}
	}
	return len(due) > 0, nil
}

// cut cuts what a network has. Transcripts go first, the oldest before others, but for a quarter
// of what it keeps: its last failures can still be looked at.
func (s *store) cut(c cut) error {
	transcripts := max(c.keep-c.rows(), min(c.transcripts, c.keep/4))
	if err := s.cutTranscripts(c.network, c.transcripts-transcripts); err != nil {
		return err
	}
	return s.cutRows(c.network, c.rows()-(c.keep-transcripts))
}

// A weighed is the id of a row and what it takes.
type weighed struct{ id, size int64 }

// oldest returns the rows that q selects, up to the one with which they come to a size.
func (s *store) oldest(q *query, size int64) (all []weighed, err error) {
	if size <= 0 {
		return nil, nil
	}
	q.add(`ORDER BY 1`)
	all, err = rows(context.Background(), s.conn, q, func(scan scanner) (w weighed, err error) {
		err = scan(&w.id, &w.size)
		return w, err
	})
	for i, w := range all {
		if size -= w.size; size <= 0 {
			return all[:i+1], err
		}
	}
	return all, err
}

// cutTranscripts deletes the oldest transcripts of a network, until they come to a size.
func (s *store) cutTranscripts(network netip.Prefix, size int64) error {
	q := &query{}
	q.add(`SELECT h.id, length(transcript) FROM senders AS s
		JOIN handshakes AS h INDEXED BY failed_by_sender ON h.sender = s.id AND h.outcome = 3
		JOIN failures AS f ON f.handshake = h.id
		WHERE s.network = ? AND transcript IS NOT NULL`, prefixBytes(network))
	all, err := s.oldest(q, size)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(all, chunk) {
		ids := make([]int64, len(some))
		for i, w := range some {
			ids[i] = w.id
		}
		list, _ := json.Marshal(ids) // numbers can be encoded
		err := s.transact(func() error {
			return s.exec(`UPDATE failures SET transcript = NULL WHERE handshake IN (SELECT value FROM json_each(?))`, list)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// cutRows deletes the oldest handshakes of a network, and the senders that were not seen after
// them, until they come to a size.
func (s *store) cutRows(network netip.Prefix, size int64) error {
	of := prefixBytes(network)
	q := &query{}
	q.add(`SELECT h.id, ? + (h.outcome = 3) * ? FROM senders AS s JOIN handshakes AS h ON h.sender = s.id WHERE s.network = ?`,
		sessionSize, failureSize, of)
	q.add(`UNION ALL SELECT last, ? FROM senders WHERE network = ?`, senderSize, of)
	all, err := s.oldest(q, size)
	if err != nil || len(all) == 0 {
		return err
	}
	last := all[len(all)-1].id
	for n := int64(chunk); n == chunk; {
		n, err = s.forgetHandshakes(`SELECT h.id FROM senders AS s JOIN handshakes AS h ON h.sender = s.id
			WHERE s.network = ? AND h.id <= ? LIMIT ?`, of, last, chunk)
		if err != nil {
			return err
		}
	}
	return s.cutSenders(of, last)
}

// cutSenders deletes the senders of a network that were last seen with or before the handshake
// with an id, and their counts. Those of all senders together stay.
func (s *store) cutSenders(network []byte, last int64) error {
	type sender struct{ id, first, seen int64 }
	q := &query{}
	q.add(`SELECT id, first, seen FROM senders WHERE network = ? AND last <= ?`, network, last)
	gone, err := rows(context.Background(), s.conn, q, func(scan scanner) (one sender, err error) {
		err = scan(&one.id, &one.first, &one.seen)
		return one, err
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(gone, chunk) {
		err := s.transact(func() error {
			for _, one := range some {
				for day := one.first / millisOfDay; day <= one.seen/millisOfDay; day++ {
					if err := s.exec(`DELETE FROM days WHERE day = ? AND sender = ?`, day, one.id); err != nil {
						return err
					}
				}
				if err := s.exec(`DELETE FROM senders WHERE id = ?`, one.id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
