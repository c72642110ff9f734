package ledger

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// An outbox gathers the records of a batch for the other hosts. They are stored with what they are
// about, in one transaction, so a host publishes what it has and nothing else.
type outbox struct {
	lines bytes.Buffer
	n     int64
}

const (
	// maxLines is about how much of an outbox is stored in one row, and how much of them Own returns,
	// in bytes before compression.
	maxLines = 1 << 20

	// outboxPart is the part of the file for records that wait to be published. A session takes some
	// fifty bytes of it.
	outboxPart = 16
)

// add adds a record. What JSON cannot say stays at this host.
func (o *outbox) add(kind string, of any) {
	data, err := json.Marshal(of)
	if err != nil {
		return
	}
	o.lines.WriteString(kind)
	o.lines.WriteByte(' ')
	o.lines.Write(data) // in which JSON has no line feed
	o.lines.WriteByte('\n')
	o.n++
}

// store stores the records, with the next numbers, and forgets them.
func (o *outbox) store(ctx context.Context, db querier, z *gzip.Writer) error {
	if o.n == 0 {
		return nil
	}
	n := o.n
	packed, err := compress(z, o.lines.Bytes())
	o.lines.Reset()
	o.n = 0
	if err != nil {
		return err
	}
	var last int64
	err = db.QueryRowContext(ctx, `UPDATE hosts SET position = position + ? WHERE id = ? RETURNING position`, n, here).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // this host is alone
	}
	if err == nil {
		_, err = db.ExecContext(ctx, `INSERT INTO outbox (first, last, data) VALUES (?, ?, ?)`, last-n+1, last, packed)
	}
	return err
}

// record keeps something that this host has stored for the others.
func (s *store) record(kind string, of any) error {
	if !s.sharing || s.host != here {
		return nil
	}
	s.outbox.add(kind, of)
	if s.outbox.lines.Len() < maxLines {
		return nil
	}
	return s.outbox.store(context.Background(), s.conn, s.gzip)
}

// A batch is a row of the table outbox.
type batch struct {
	first int64
	data  []byte
}

// records returns the records after a number.
func (b batch) records(after int64) (all []Record, err error) {
	lines, err := unpack(b.data, 2*maxLines+2*maxPacked)
	if err != nil {
		return nil, err
	}
	id := b.first
	for line := range bytes.Lines(lines) {
		if kind, data, ok := bytes.Cut(line, []byte(" ")); ok && id > after {
			all = append(all, Record{ID: id, Kind: string(kind), Data: bytes.TrimSuffix(data, []byte("\n"))})
		}
		id++
	}
	return all, nil
}

// Own returns what this host itself recorded after the record with an ID, and what is not published
// yet, the oldest first: at most so many records, and about 1 MiB. It waits for its turn, until ctx
// is done.
func (l *Ledger) Own(ctx context.Context, after int64, most int) ([]Record, error) {
	var all []Record
	size := 0
	for len(all) < most && size < maxLines {
		var next []batch
		err := l.wait(ctx, "reading records for other hosts", func(w *writer) error {
			return w.use(func(s *store) error {
				q := &query{}
				q.add(`SELECT first, data FROM outbox WHERE last > ? ORDER BY first LIMIT 1`, after)
				var err error
				next, err = rows(context.Background(), s.conn, q, func(scan scanner) (b batch, err error) {
					err = scan(&b.first, &b.data)
					return b, err
				})
				return err
			})
		})
		if err != nil || len(next) == 0 {
			return all, err
		}
		found, err := next[0].records(after)
		if err != nil {
			return nil, fmt.Errorf("ledger: %s: reading records for other hosts: %w", l.path, err)
		}
		for _, r := range found[:min(len(found), most-len(all))] {
			all = append(all, r)
			size += len(r.Data)
			after = r.ID
		}
		if len(found) == 0 {
			return all, nil
		}
	}
	return all, nil
}

// Published forgets the records up to the one with an ID: the other hosts can get them now, and
// [Ledger.Own] does not return them again, or only some of the last ones.
func (l *Ledger) Published(ctx context.Context, last int64) error {
	return l.wait(ctx, "forgetting published records", func(w *writer) error {
		w.overflowed = false
		return w.use(func(s *store) error { return s.exec(`DELETE FROM outbox WHERE last <= ?`, last) })
	})
}

// byOutbox deletes the oldest records that wait to be published where there are too many.
func (r *retention) byOutbox(s *store) error {
	const tooMany = ` FROM (SELECT first, last, sum(length(data) + 64) OVER (ORDER BY first DESC) AS taken FROM outbox) WHERE taken > ?`
	lost, err := s.number(`SELECT coalesce(sum(last - first + 1), 0)`+tooMany, r.maxSize/outboxPart)
	if err != nil || lost == 0 {
		return err
	}
	err = s.exec(`DELETE FROM outbox WHERE first IN (SELECT first`+tooMany+`)`, r.maxSize/outboxPart)
	if err == nil {
		s.unpublished += lost
	}
	return err
}
