package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// Handshakes returns those that f lets through, the newest first unless f.After is set,
// without their transcripts.
func (r *Reader) Handshakes(ctx context.Context, f Filter) ([]Handshake, error) {
	return readAll(ctx, r, "reading handshakes", func(ctx context.Context, db *sql.DB, q *query) error {
		q.add(`WITH chosen AS (`)
		err := f.choose(ctx, db, q)
		q.add(`LIMIT ?)`, f.limit())
		q.add(lines)
		if f.After > 0 {
			q.add(`ORDER BY h.id`)
		} else {
			q.add(`ORDER BY h.at DESC, h.id DESC`)
		}
		return err
	}, scanLine)
}

// lines reads the handshakes whose numbers chosen has.
const lines = `SELECT h.id, h.session, h.at, h.address, s.network, s.ehlo, s.fingerprint,
		h.outcome, h.rung, h.version, h.suite, h."group",
		coalesce(a.session, ''), coalesce(f.stopped, ''), coalesce(f.next, ''),
		CASE h.outcome WHEN 3 THEN (SELECT json_group_array(json_object('Case', case_id, 'Confidence', confidence))
			FROM (SELECT * FROM diagnoses WHERE handshake = h.id AND case_id <> 'unknown' ORDER BY confidence DESC))
		ELSE 'null' END
	FROM chosen JOIN handshakes AS h USING (id) JOIN senders AS s ON s.id = h.sender
	LEFT JOIN handshakes AS a ON a.id = h.after
	LEFT JOIN failures AS f ON f.handshake = h.id`

func scanLine(scan scanner) (h Handshake, err error) {
	var diagnoses []byte
	err = scan(&h.ID, &h.Session, millis{&h.At}, address{&h.Address}, prefix{&h.Network}, &h.EHLO, &h.Fingerprint,
		&h.Outcome, &h.Rung, &h.Version, &h.Suite, &h.Group,
		&h.After, &h.Stopped, &h.Next, &diagnoses)
	if err == nil {
		err = json.Unmarshal(diagnoses, &h.Diagnoses)
	}
	return h, err
}

// Handshake returns the newest handshake of a session, with its transcript. The error wraps
// [fs.ErrNotExist] where there is none.
func (r *Reader) Handshake(ctx context.Context, session string) (Handshake, error) {
	var h Handshake
	err := r.read(fmt.Sprintf("reading session %q", session), func(db *sql.DB) error {
		var err error
		h, err = handshakeOf(ctx, db, session)
		return err
	})
	return h, err
}

func handshakeOf(ctx context.Context, db *sql.DB, session string) (h Handshake, err error) {
	q := &query{}
	q.add(`WITH chosen AS (SELECT id FROM handshakes WHERE session = ? ORDER BY id DESC LIMIT 1)`, session)
	q.add(lines)
	found, err := rows(ctx, db, q, scanLine)
	if err != nil {
		return h, err
	}
	if len(found) == 0 {
		return h, fmt.Errorf("none of its handshakes is kept: %w", fs.ErrNotExist)
	}
	h = found[0]
	h.Transcript, err = transcriptOf(ctx, db, h.ID)
	return h, err
}

func transcriptOf(ctx context.Context, db *sql.DB, id int64) ([]byte, error) {
	var packed []byte
	err := db.QueryRowContext(ctx, `SELECT transcript FROM failures WHERE handshake = ?`, id).Scan(&packed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return unpack(packed, maxTranscript)
}
