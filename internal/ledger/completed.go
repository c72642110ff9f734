package ledger

import (
	"context"
	"database/sql"
)

// How much of a sender's history is searched for a completed handshake: clients can fail any
// number of times, under any number of fingerprints.
const (
	maxFingerprints = 20
	maxSearched     = 1000 // sessions with each
)

// Completed returns the last handshake before h that the same sender, the same EHLO name in the
// same network, completed and used, or else the first one after it. The error wraps
// fs.ErrNotExist if there is none in the 1,000 sessions on either side.
func (r *Reader) Completed(ctx context.Context, h Handshake) (Handshake, error) {
	for _, side := range []struct{ of, order string }{{`h.at <= ?`, `h.at DESC`}, {`h.at > ?`, `h.at`}} {
		found, err := readAll(ctx, r, "reading a completed handshake", func(_ context.Context, _ *sql.DB, q *query) error {
			q.add(`WITH names AS MATERIALIZED (SELECT id FROM senders
					WHERE network = ? AND ehlo = ? AND full + resumed > 0 ORDER BY seen DESC LIMIT ?),
				nearest AS (SELECT (SELECT id FROM
						(SELECT h.* FROM handshakes AS h INDEXED BY handshakes_by_sender
							WHERE h.sender = names.id AND `+side.of+` ORDER BY `+side.order+` LIMIT ?) AS h
						WHERE outcome IN (1, 2) AND NOT unused AND NOT probe ORDER BY `+side.order+` LIMIT 1) AS id
					FROM names),
				chosen AS (SELECT h.id FROM nearest JOIN handshakes AS h USING (id) ORDER BY `+side.order+` LIMIT 1)`,
				prefixBytes(h.Network), h.EHLO, maxFingerprints, unixMilli(h.At), maxSearched)
			q.add(selectHandshakes)
			return nil
		}, scanHandshake)
		if err != nil {
			return Handshake{}, err
		}
		if len(found) > 0 {
			return found[0], nil
		}
	}
	return Handshake{}, notFound("no completed handshake stored")
}
