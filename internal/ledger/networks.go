package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"

	"postern/internal/admission"
)

// A holding is what a network has in the ledger from its sessions at a host: handshakes, what belongs
// to them, and senders. Anybody can have as many of them as they like, so when the file is full those
// of the networks with the most go.
type holding struct {
	id, host         int64
	network          netip.Prefix
	sessions, failed int64
	transcripts      int64 // bytes
	senders          int64
	bare             int64 // id of a handshake: there is no transcript up to it
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
		err := s.exec(`UPDATE networks SET sessions = sessions + ?, failed = failed + ?, transcripts = transcripts + ? WHERE network = ? AND host = ?`,
			add.sessions, add.failed, add.transcripts, prefixBytes(network), s.host)
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

// sharers is who shares the room for handshakes, and in turn what each of them has: this host with
// all others, those with each other, areas, networks.
var sharers = []func(holding) any{
	func(h holding) any { return h.host == here },
	func(h holding) any { return h.host },
	func(h holding) any { return admission.Wide(h.network.Addr()) },
	func(h holding) any { return h.network },
}

// cuts returns which networks have to give how much up to free so many bytes: those with the most,
// in the areas with the most, at the hosts with the most. Those with little give nothing, and this
// host keeps at least half of the room.
func cuts(all []holding, free int64) (due []cut) {
	due = share(all, free, sharers)
	slices.SortFunc(due, func(a, b cut) int { return cmp.Compare(b.size()-b.keep, a.size()-a.keep) })
	return due
}

// share has the largest groups of holdings give up so many bytes, which in each are shared by the
// rest of the keys.
func share(all []holding, free int64, keys []func(holding) any) (due []cut) {
	if len(keys) == 0 {
		return []cut{{all[0], all[0].size() - free}} // a network at a host has one holding
	}
	groups := make(map[any][]holding)
	sizes := make(map[any]int64)
	for _, h := range all {
		key := keys[0](h)
		groups[key] = append(groups[key], h)
		sizes[key] += h.size()
	}
	line := level(slices.Collect(maps.Values(sizes)), free)
	for key, size := range sizes {
		if size > line {
			due = append(due, share(groups[key], size-line, keys[1:])...)
		}
	}
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
	q.add(`SELECT id, host, network, sessions, failed, transcripts, senders, bare FROM networks`)
	all, err := rows(context.Background(), s.conn, q, func(scan scanner) (h holding, err error) {
		err = scan(&h.id, &h.host, prefixInto(&h.network), &h.sessions, &h.failed, &h.transcripts, &h.senders, &h.bare)
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
	if err := s.cutTranscripts(c.holding, c.transcripts-transcripts); err != nil {
		return err
	}
	return s.cutRows(c.holding, c.rows()-(c.keep-transcripts))
}

// A weighed is a handshake with what it takes.
type weighed struct {
	id, size int64
	sender   int64 // of which it is the last; 0 if it is not
}

// oldest returns the handshakes that q selects, in their order, up to the one with which they
// come to a size. It reads no more than those.
func (s *store) oldest(q *query, size int64) (all []weighed, err error) {
	if size <= 0 {
		return nil, nil
	}
	found, err := s.conn.QueryContext(context.Background(), q.text.String(), q.args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for size > 0 && found.Next() {
		var w weighed
		if err := found.Scan(&w.id, &w.size, &w.sender); err != nil {
			return nil, err
		}
		all = append(all, w)
		size -= w.size
	}
	return all, found.Err()
}

// cutTranscripts deletes the oldest transcripts of a network, until they come to a size.
func (s *store) cutTranscripts(of holding, size int64) error {
	all, err := s.oldest(transcriptsOf(of), size)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(all, chunk) {
		err := s.transact(func() error {
			err := s.exec(`UPDATE failures SET transcript = NULL WHERE handshake IN (SELECT value FROM json_each(?))`, idsOf(some))
			if err == nil {
				err = s.exec(`UPDATE networks SET bare = ? WHERE id = ?`, some[len(some)-1].id, of.id)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// transcriptsOf selects the transcripts of a network, the oldest first.
func transcriptsOf(h holding) *query {
	q := &query{}
	q.add(`SELECT h.id, length(transcript), 0 FROM handshakes AS h INDEXED BY handshakes_by_network
		JOIN failures AS f ON f.handshake = h.id
		WHERE h.network_id = ? AND h.id > ? AND transcript IS NOT NULL ORDER BY h.id`, h.id, h.bare)
	return q
}

// rowsOf selects the handshakes of a network, the oldest first.
func rowsOf(h holding) *query {
	q := &query{}
	q.add(`SELECT h.id, ? + (h.outcome = 3) * ? + (s.last = h.id) * ?, (s.last = h.id) * s.id
		FROM handshakes AS h INDEXED BY handshakes_by_network CROSS JOIN senders AS s ON s.id = h.sender
		WHERE h.network_id = ? ORDER BY h.id`, sessionSize, failureSize, senderSize, h.id)
	return q
}

// idsOf returns the ids of handshakes as a JSON list.
func idsOf(some []weighed) []byte {
	list := make([]int64, len(some))
	for i, w := range some {
		list[i] = w.id
	}
	text, _ := json.Marshal(list) // numbers can be encoded
	return text
}

// cutRows deletes the oldest handshakes of a network, and the senders that were not seen after
// them, until they come to a size.
func (s *store) cutRows(of holding, size int64) error {
	all, err := s.oldest(rowsOf(of), size)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(all, chunk) {
		err := s.transact(func() error {
			if err := s.exec(`DELETE FROM handshakes WHERE id IN (SELECT value FROM json_each(?))`, idsOf(some)); err != nil {
				return err
			}
			for _, w := range some {
				if err := s.forgetSender(w.sender); err != nil {
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

// forgetSender deletes a sender, unless it is 0, and its counts. Those of all senders together
// stay.
func (s *store) forgetSender(id int64) error {
	if id == 0 {
		return nil
	}
	first, err := s.number(`SELECT first FROM senders WHERE id = ?`, id)
	if err != nil {
		return err
	}
	seen, err := s.number(`SELECT seen FROM senders WHERE id = ?`, id)
	if err != nil {
		return err
	}
	for day := first / millisOfDay; day <= seen/millisOfDay; day++ {
		if err := s.exec(`DELETE FROM days WHERE day = ? AND sender = ?`, day, id); err != nil {
			return err
		}
	}
	return s.exec(`DELETE FROM senders WHERE id = ?`, id)
}
