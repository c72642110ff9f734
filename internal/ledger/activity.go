package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"net/netip"
	"strings"
	"time"
)

// A Span is the time from From until before To, at all hosts of a fleet or at one.
type Span struct {
	From, To time.Time
	Host     string // as in [Filter]
}

// An Activity is what one address did under one EHLO name.
type Activity struct {
	Address     netip.Addr
	EHLO        string
	Name        string // by forward-confirmed reverse DNS, of the sender's last session with one; may be empty
	First, Last time.Time
	Counts
	Unused int64            // those in Full and Resumed that left without a command
	Cases  map[string]int64 // Failed by the most certain diagnosis; see [Unknown]
	Unsure map[string]int64 // those in Cases whose diagnosis is no more than possible
}

// maxActivity bounds the sessions that are read. A large sender has fewer in a day.
const maxActivity = 200_000

// Activity returns what the senders did in the span, ordered by address and name. It counts at
// most 200,000 sessions.
func (r *Reader) Activity(ctx context.Context, in Span, of SenderQuery) ([]Activity, error) {
	found, err := readAll(ctx, r, "reading activity", func(ctx context.Context, db *sql.DB, q *query) error {
		senders, err := of.senders(ctx, db)
		if err != nil {
			return err
		}
		q.add(`WITH chosen AS MATERIALIZED (SELECT h.id, h.at, h.address, ehlo, s.name, h.outcome, h.after, h.unused
			FROM handshakes AS h INDEXED BY handshakes_by_sender JOIN senders AS s ON s.id = h.sender
			WHERE h.sender IN (SELECT value FROM json_each(?)) AND h.at >= ? AND h.at < ? AND NOT h.probe`, senders, unixMilli(in.From), unixMilli(in.To))
		of.conditions(q)
		q.atHost("s.host", in.Host)
		q.add(`LIMIT ?)
			SELECT address, ehlo, max(name), outcome, CASE outcome WHEN 3 THEN `+leadingOf("chosen.id")+` END AS found,
				CASE outcome WHEN 3 THEN (SELECT max(confidence) < 0.6 FROM diagnoses WHERE handshake = chosen.id) END AS unsure,
				count(*), count(after), sum(unused), min(at), max(at)
			FROM chosen GROUP BY address, ehlo, outcome, found, unsure ORDER BY address, ehlo`, maxActivity)
		return nil
	}, scanActivity)
	return merged(found), err
}

// scanActivity reads a row with one outcome and one case.
func scanActivity(scan scanner) (s Activity, err error) {
	var outcome Outcome
	var found sql.NullString
	var unsure sql.NullBool
	var n int64
	err = scan(addrInto(&s.Address), &s.EHLO, &s.Name, &outcome, &found, &unsure, &n, &s.Returned, &s.Unused, timeInto(&s.First), timeInto(&s.Last))
	switch outcome {
	case Full:
		s.Full = n
	case Resumed:
		s.Resumed = n
	case Plaintext:
		s.Plaintext = n
	case Failed:
		s.Failed, s.Cases = n, map[string]int64{found.String: n}
		if unsure.Bool && found.String != Unknown {
			s.Unsure = s.Cases
		}
	}
	return s, err
}

// merged joins neighbours with the same address and name.
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
	s.Name = cmp.Or(s.Name, part.Name)
	s.Unused += part.Unused
	s.Cases, s.Unsure = sum(s.Cases, part.Cases), sum(s.Unsure, part.Unsure)
	if part.First.Before(s.First) {
		s.First = part.First
	}
	if part.Last.After(s.Last) {
		s.Last = part.Last
	}
}

// sum returns the sums of counts by case; nil if there are none.
func sum(a, b map[string]int64) map[string]int64 {
	if len(a)+len(b) == 0 {
		return nil
	}
	all := make(map[string]int64)
	for _, counts := range []map[string]int64{a, b} {
		for id, n := range counts {
			all[id] += n
		}
	}
	return all
}

// FailingAddresses returns the addresses with failed handshakes, or with mail in plaintext
// after one, in the span: those with the most first, at most limit. It reads at most the newest
// 10,000 sessions of each kind.
func (r *Reader) FailingAddresses(ctx context.Context, in Span, limit int) ([]netip.Addr, error) {
	return readAll(ctx, r, "reading failing addresses", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT address FROM (
			SELECT * FROM (SELECT address FROM handshakes INDEXED BY failed_by_time
				WHERE outcome = 3 AND NOT probe AND at >= ?1 AND at < ?2 ORDER BY at DESC LIMIT ?3)
			UNION ALL
			SELECT * FROM (SELECT address FROM handshakes INDEXED BY returned_by_time
				WHERE after IS NOT NULL AND at >= ?1 AND at < ?2 ORDER BY at DESC LIMIT ?3))
			WHERE address IS NOT NULL GROUP BY address ORDER BY count(*) DESC, address LIMIT ?4`,
			unixMilli(in.From), unixMilli(in.To), maxLimit, limit)
		return nil
	}, func(scan scanner) (addr netip.Addr, err error) {
		err = scan(addrInto(&addr))
		return addr, err
	})
}

// A SenderQuery selects sessions by address, or by domain: that of the sender's organization, or
// the name in EHLO, which is one of the domains or below it, in any case. The zero value matches
// none. At most 256 of each are used.
type SenderQuery struct {
	Addresses []netip.Addr
	Domains   []string
}

const maxQuery = 256

func (sq SenderQuery) addresses() []netip.Addr {
	return sq.Addresses[:min(len(sq.Addresses), maxQuery)]
}

// senders returns the ids of the senders that can match, as a JSON list.
func (sq SenderQuery) senders(ctx context.Context, db *sql.DB) ([]byte, error) {
	byName := &query{}
	byName.add(`SELECT id FROM senders WHERE FALSE`)
	sq.named(byName)
	queries := []*query{byName}
	for _, addr := range sq.addresses() {
		q := &query{}
		q.add(`SELECT id FROM senders WHERE TRUE`)
		Filter{Sender: addr.String()}.bySender(q)
		queries = append(queries, q)
	}
	ids := []int64{} // null in JSON would be a value
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

// named appends the alternative that a domain matches.
func (sq SenderQuery) named(q *query) {
	for _, domain := range sq.Domains[:min(len(sq.Domains), maxQuery)] {
		name := escapeLike.Replace(domain)
		q.add(`OR organization = ? OR ehlo LIKE ? ESCAPE '\' OR ehlo LIKE ? ESCAPE '\'`, strings.ToLower(domain), name, "%."+name)
	}
}

// conditions appends the condition that a session matches.
func (sq SenderQuery) conditions(q *query) {
	marks := strings.TrimPrefix(strings.Repeat(", ?", len(sq.addresses())), ", ")
	q.add(`AND (h.address IN (` + marks + `)`)
	for _, addr := range sq.addresses() {
		q.args = append(q.args, addrBytes(addr))
	}
	sq.named(q)
	q.add(`)`)
}
