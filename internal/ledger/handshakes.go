package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// narrow is how many senders are few: then each one's handshakes are looked up. Of more,
// the newest handshakes of all are looked through.
const narrow = 1000

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

// choose appends a query for the numbers of the handshakes that f lets through, in order.
func (f Filter) choose(ctx context.Context, db *sql.DB, q *query) error {
	senders, few, err := f.senders(ctx, db)
	if err != nil {
		return err
	}
	switch since := milli(f.Since); {
	case f.After > 0:
		q.add(`SELECT h.id FROM handshakes AS h NOT INDEXED WHERE h.id > ? AND h.at >= ?`, f.After, since)
		f.ofCase(q)
	case few:
		q.add(`SELECT h.id FROM handshakes AS h INDEXED BY `+f.kind()+`_by_sender WHERE h.at >= ?`, since)
		f.ofCase(q)
	case f.Case != "":
		q.add(`SELECT h.id FROM diagnoses AS d CROSS JOIN handshakes AS h ON h.id = d.handshake
			WHERE d.case_id = ? AND d.at >= ?`, f.Case, since)
	default:
		q.add(`SELECT h.id FROM handshakes AS h INDEXED BY `+f.kind()+`_by_time WHERE h.at >= ?`, since)
	}
	f.among(q, senders)
	switch {
	case f.After > 0:
		q.add(`ORDER BY h.id`)
	case f.Case != "" && !few:
		q.add(`ORDER BY d.at DESC, d.handshake DESC`)
	default:
		q.add(`ORDER BY h.at DESC, h.id DESC`)
	}
	return nil
}

// kind is how the names of the indexes begin that have what f lets through.
func (f Filter) kind() string {
	switch {
	case f.Returned:
		return "returned"
	case f.Failed || f.Case != "":
		return "failed"
	}
	return "handshakes"
}

// among appends the conditions that hold whichever way handshakes are looked for.
func (f Filter) among(q *query, senders []byte) {
	switch f.kind() {
	case "returned":
		q.add(`AND h.after IS NOT NULL`)
	case "failed":
		q.add(`AND h.outcome = 3`)
	}
	if senders != nil {
		q.add(`AND h.sender IN (SELECT value FROM json_each(?))`, senders)
	}
	if prefix, named := f.network(); named {
		q.add(`AND h.address BETWEEN ? AND ? AND length(h.address) = ?`,
			blob(prefix.Addr()), blob(lastOf(prefix)), prefix.Addr().BitLen()/8)
	}
}

func (f Filter) ofCase(q *query) {
	if f.Case != "" {
		q.add(`AND EXISTS (SELECT 1 FROM diagnoses AS d WHERE d.handshake = h.id AND d.case_id = ?)`, f.Case)
	}
}

// senders returns the numbers of the senders that f lets through as a JSON list, and
// whether they are few. It is nil where f lets all through.
func (f Filter) senders(ctx context.Context, db *sql.DB) (list []byte, few bool, err error) {
	if f.Sender == "" {
		return nil, false, nil
	}
	q := &query{}
	q.add(`SELECT id FROM senders WHERE TRUE`)
	f.bySender(q)
	ids, err := rows(ctx, db, q, func(scan scanner) (id int64, err error) {
		err = scan(&id)
		return id, err
	})
	if err != nil {
		return nil, false, err
	}
	if ids == nil {
		ids = []int64{} // JSON's null would be a value
	}
	list, err = json.Marshal(ids)
	return list, len(ids) <= narrow, err
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
	return unpack(packed)
}
