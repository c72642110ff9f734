package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/netip"
	"strings"
	"time"
)

// A Span is the time from From on and before To.
type Span struct{ From, To time.Time }

// A Activity is what one address did under one name within a span.
type Activity struct {
	Address     netip.Addr
	EHLO        string
	First, Last time.Time
	Counts
	Unused int64            // of Full and Resumed: the sender left without a command
	Cases  map[string]int64 // of Failed, by the surest diagnosis; see [Unknown]
}

// maxSighted bounds the sessions that are looked through: a large sender has fewer in a day.
const maxSighted = 200_000

// Activity returns what a party did within a span, in the order of addresses and names. Of more
// than 200,000 sessions not all are counted.
func (r *Reader) Activity(ctx context.Context, in Span, whose SenderQuery) ([]Activity, error) {
	found, err := readAll(ctx, r, "reading what a sender did", func(ctx context.Context, db *sql.DB, q *query) error {
		senders, err := whose.senders(ctx, db)
		if err != nil {
			return err
		}
		q.add(`WITH chosen AS MATERIALIZED (SELECT h.id, h.at, h.address, ehlo, h.outcome, h.after, h.unused
			FROM handshakes AS h INDEXED BY handshakes_by_sender JOIN senders AS s ON s.id = h.sender
			WHERE h.sender IN (SELECT value FROM json_each(?)) AND h.at >= ? AND h.at < ?`, senders, milli(in.From), milli(in.To))
		whose.among(q)
		q.add(`LIMIT ?)
			SELECT address, ehlo, outcome, CASE outcome WHEN 3 THEN
				(SELECT case_id FROM diagnoses WHERE handshake = chosen.id ORDER BY confidence DESC, case_id LIMIT 1) END AS found,
				count(*), count(after), sum(unused), min(at), max(at)
			FROM chosen GROUP BY address, ehlo, outcome, found ORDER BY address, ehlo`, maxSighted)
		return nil
	}, scanSighting)
	return merged(found), err
}

// scanSighting reads what has one outcome and one case.
func scanSighting(scan scanner) (s Activity, err error) {
	var outcome Outcome
	var found sql.NullString
	var n int64
	err = scan(address{&s.Address}, &s.EHLO, &outcome, &found, &n, &s.Returned, &s.Unused, millis{&s.First}, millis{&s.Last})
	switch outcome {
	case Full:
		s.Full = n
	case Resumed:
		s.Resumed = n
	case Plaintext:
		s.Plaintext = n
	case Failed:
		s.Failed, s.Cases = n, map[string]int64{found.String: n}
	}
	return s, err
}

// merged makes one of neighbours that have the address and the name in common.
func merged(parts []Activity) (all []Activity) {
	for _, part := range parts {
		if last := len(all) - 1; last >= 0 && all[last].Address == part.Address && all[last].EHLO == part.EHLO {
			all[last].add(part)
			continue
		}
		all = append(all, part)
	}
	return all
}

func (s *Activity) add(part Activity) {
	s.Counts.Add(part.Counts)
	s.Unused += part.Unused
	for id, n := range part.Cases {
		if s.Cases == nil {
			s.Cases = make(map[string]int64)
		}
		s.Cases[id] += n
	}
	if part.First.Before(s.First) {
		s.First = part.First
	}
	if part.Last.After(s.Last) {
		s.Last = part.Last
	}
}

// FailingAddresses returns the addresses whose handshakes failed, or that came back in plaintext, within
// a span: those with most of that first, at most limit. Of more than 10,000 sessions of a kind the
// newest are looked through.
func (r *Reader) FailingAddresses(ctx context.Context, in Span, limit int) ([]netip.Addr, error) {
	return readAll(ctx, r, "reading whose handshakes failed", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT address FROM (
			SELECT * FROM (SELECT address FROM handshakes INDEXED BY failed_by_time
				WHERE outcome = 3 AND at >= ?1 AND at < ?2 ORDER BY at DESC LIMIT ?3)
			UNION ALL
			SELECT * FROM (SELECT address FROM handshakes INDEXED BY returned_by_time
				WHERE after IS NOT NULL AND at >= ?1 AND at < ?2 ORDER BY at DESC LIMIT ?3))
			WHERE address IS NOT NULL GROUP BY address ORDER BY count(*) DESC, address LIMIT ?4`,
			milli(in.From), milli(in.To), maxLimit, limit)
		return nil
	}, func(scan scanner) (addr netip.Addr, err error) {
		err = scan(address{&addr})
		return addr, err
	})
}

// A SenderQuery says whose sessions are meant: those of each of the addresses, and those of who called
// itself by one of the domains or by a name below it, in any case. The zero SenderQuery is nobody.
// Of both lists the first 256 are heeded.
type SenderQuery struct {
	Addresses []netip.Addr
	Domains   []string
}

const maxParty = 256

func (p SenderQuery) addresses() []netip.Addr { return p.Addresses[:min(len(p.Addresses), maxParty)] }

// senders returns the numbers of the senders that may be the party's, as a JSON list.
func (p SenderQuery) senders(ctx context.Context, db *sql.DB) ([]byte, error) {
	byName := &query{}
	byName.add(`SELECT id FROM senders WHERE FALSE`)
	p.named(byName)
	queries := []*query{byName}
	for _, addr := range p.addresses() {
		q := &query{}
		q.add(`SELECT id FROM senders WHERE TRUE`)
		Filter{Sender: addr.String()}.bySender(q)
		queries = append(queries, q)
	}
	ids := []int64{} // JSON's null would be a value
	for _, q := range queries {
		found, err := rows(ctx, db, q, func(scan scanner) (id int64, err error) {
			err = scan(&id)
			return id, err
		})
		if err != nil {
			return nil, err
		}
		ids = append(ids, found...)
	}
	return json.Marshal(ids)
}

// named appends "or it has a name of the party's".
func (p SenderQuery) named(q *query) {
	for _, domain := range p.Domains[:min(len(p.Domains), maxParty)] {
		name := escapeLike.Replace(domain)
		q.add(`OR ehlo LIKE ? ESCAPE '\' OR ehlo LIKE ? ESCAPE '\'`, name, "%."+name)
	}
}

// among appends the condition that a session is the party's.
func (p SenderQuery) among(q *query) {
	marks := strings.TrimPrefix(strings.Repeat(", ?", len(p.addresses())), ", ")
	q.add(`AND (h.address IN (` + marks + `)`)
	for _, addr := range p.addresses() {
		q.args = append(q.args, blob(addr))
	}
	p.named(q)
	q.add(`)`)
}
