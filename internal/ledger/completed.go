package ledger

import (
	"context"
	"database/sql"
)

// maxCompleted bounds the transcript of a completed handshake, compressed. One has some 1,000 bytes.
const maxCompleted = 2 << 10

// writeCompleted keeps the transcript of a handshake that a sender completed, if it has one, in
// place of the sender's earlier one.
func (h Handshake) writeCompleted(s *store) error {
	packed, err := s.pack(h.Transcript)
	if err != nil || packed == nil || len(packed) > maxCompleted || h.Probe {
		return err
	}
	return s.exec(`INSERT INTO completed (network, ehlo, fingerprint, at, handshake, transcript, host) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET at = excluded.at, handshake = excluded.handshake, transcript = excluded.transcript, host = excluded.host`,
		prefixBytes(h.Network), h.EHLO, h.Fingerprint, unixMilli(h.At), h.ID, packed, s.host)
}

// How much of a sender's history is searched for a completed handshake: clients can fail any
// number of times, under any number of fingerprints.
const (
	maxFingerprints = 20
	maxSearched     = 1000 // sessions with each
)

// Completed returns a handshake to compare h with, which the same sender, the same EHLO name in the
// same network, completed and used: the last one before h, or else the first one after it. One
// whose transcript is kept goes before the others. The error wraps fs.ErrNotExist if there is none
// in the 1,000 sessions on either side.
func (r *Reader) Completed(ctx context.Context, h Handshake) (found Handshake, err error) {
	err = r.read("reading a completed handshake", func(db *sql.DB) error {
		for _, choose := range []func(*query, Handshake, order){(*query).completedKept, (*query).completedAny} {
			for _, nearest := range []order{{`h.at <= ?`, `h.at DESC`}, {`h.at > ?`, `h.at`}} {
				q := &query{}
				choose(q, h, nearest)
				q.add(selectHandshakes)
				all, err := rows(ctx, db, q, scanHandshake)
				if err != nil {
					return err
				}
				if len(all) > 0 {
					found = all[0]
					found.Transcript, err = transcriptOf(ctx, db, found)
					return err
				}
			}
		}
		return notFound("no completed handshake stored")
	})
	return found, err
}

// An order is on one side of a time, from it on.
type order struct{ side, by string }

// completedKept chooses the nearest handshake of a sender whose transcript is kept.
func (q *query) completedKept(of Handshake, nearest order) {
	q.add(`WITH chosen AS (SELECT h.id FROM completed AS c JOIN handshakes AS h ON h.id = c.handshake
		WHERE c.network = ? AND c.ehlo = ? AND `+nearest.side+` ORDER BY `+nearest.by+` LIMIT 1)`,
		prefixBytes(of.Network), of.EHLO, unixMilli(of.At))
}

// completedAny chooses the nearest handshake that a sender completed and used.
func (q *query) completedAny(of Handshake, nearest order) {
	q.add(`WITH names AS MATERIALIZED (SELECT id FROM senders
			WHERE network = ? AND ehlo = ? AND full + resumed > 0 ORDER BY seen DESC LIMIT ?),
		nearest AS (SELECT (SELECT id FROM
				(SELECT h.* FROM handshakes AS h INDEXED BY handshakes_by_sender
					WHERE h.sender = names.id AND `+nearest.side+` ORDER BY `+nearest.by+` LIMIT ?) AS h
				WHERE outcome IN (1, 2) AND NOT unused AND NOT probe ORDER BY `+nearest.by+` LIMIT 1) AS id
			FROM names),
		chosen AS (SELECT h.id FROM nearest JOIN handshakes AS h USING (id) ORDER BY `+nearest.by+` LIMIT 1)`,
		prefixBytes(of.Network), of.EHLO, maxFingerprints, unixMilli(of.At), maxSearched)
}
