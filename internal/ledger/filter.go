package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"time"

	"postern/internal/fallback"
)

// A Filter selects what to read. The zero value matches everything.
type Filter struct {
	// Since is the earliest time, and Until the time before which; zero means no limit.
	// Counts are per day in UTC, and include the whole days in which the span begins and
	// ends.
	Since, Until time.Time

	// Sender is an address, a prefix, or part of an EHLO name in any case.
	Sender string

	// Host is the name of a host of a fleet, or [Here]. Without one those of all hosts match, and
	// senders are counted as they are at all of them together, unless ByHost is set: then each has a
	// row for each host.
	Host   string
	ByHost bool

	// Case matches failed handshakes with this diagnosis; see [Unknown]. It need not be the
	// first, but does not count where another one is much more likely.
	Case string

	// Failed matches failed handshakes, and senders that had one. Returned matches mail in
	// plaintext after a failed handshake, and its senders; Failed is ignored then.
	Failed, Returned bool

	// Probes also matches the handshakes of the operator's own probes. Otherwise only those
	// of senders match.
	Probes bool

	// FailingFirst orders senders by the handshakes that failed since the last session that
	// worked, those that worked before first.
	FailingFirst bool

	// Limit is the maximum number of rows: 100 if it is 0, and 10,000 at most.
	Limit int

	// After matches handshakes that were stored after the one with this [Handshake.ID],
	// and reverses the order to the oldest first, for callers that follow new ones.
	After int64
}

// Unknown is the case of a failed handshake without a diagnosis.
const Unknown = "unknown"

// Scanner is the case of the handshakes of a client that tries many ClientHellos.
const Scanner = "scanner"

const (
	defaultLimit = 100
	maxLimit     = 10000
)

func (f Filter) limit() int {
	if f.Limit <= 0 {
		return defaultLimit
	}
	return min(f.Limit, maxLimit)
}

// untilMilli returns a bound as unixMilli does, and a time that never comes for none.
func untilMilli(t time.Time) int64 {
	if t.IsZero() {
		return math.MaxInt64
	}
	return unixMilli(t)
}

// days returns the first day of f and the last one.
func (f Filter) days() (first, last int64) {
	return dayOf(f.Since), (untilMilli(f.Until) - 1) / millisOfDay
}

// network returns the prefix in Sender, if it is one.
func (f Filter) network() (netip.Prefix, bool) {
	prefix, err := fallback.ParseNetwork(f.Sender)
	return prefix, err == nil
}

// bySender appends the condition that a row with the columns network and ehlo is of the
// sender.
func (f Filter) bySender(q *query) {
	prefix, named := f.network()
	switch {
	case named:
		overlapping(q, prefix)
	case f.Sender != "":
		q.add(`AND ehlo LIKE ? ESCAPE '\'`, "%"+escapeLike.Replace(f.Sender)+"%")
	}
}

var escapeLike = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// overlapping appends the condition that the column network overlaps with p: it is in p, or
// is one of the networks that p is in.
func overlapping(q *query, p netip.Prefix) {
	first, last := addrBytes(p.Addr()), addrBytes(lastOf(p))
	q.add(`AND (network BETWEEN ? AND ? AND length(network) = ?`,
		first, append(last, 0xff), len(first)+1)
	q.add(`OR network IN (?` + strings.Repeat(`, ?`, p.Bits()) + `))`)
	for bits := range p.Bits() + 1 {
		q.args = append(q.args, prefixBytes(netip.PrefixFrom(p.Addr(), bits)))
	}
}

// lastOf returns the last address of p.
func lastOf(p netip.Prefix) netip.Addr {
	bytes := addrBytes(p.Addr())
	for bit := p.Bits(); bit < 8*len(bytes); bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}

// fewSenders is the number of senders up to which the handshakes of each one are looked up.
// For more, all handshakes are scanned from the newest on.
const fewSenders = 1000

// choose appends a query for the ids of the handshakes that match f, in order.
func (f Filter) choose(ctx context.Context, db *sql.DB, q *query) error {
	senders, few, err := f.senders(ctx, db)
	if err != nil {
		return err
	}
	switch since, until := unixMilli(f.Since), untilMilli(f.Until); {
	case f.After > 0:
		q.add(`SELECT h.id FROM handshakes AS h NOT INDEXED WHERE h.id > ? AND h.at >= ? AND h.at < ?`, f.After, since, until)
		f.ofCase(q)
	case few:
		q.add(`SELECT h.id FROM handshakes AS h INDEXED BY `+f.index()+`_by_sender WHERE h.at >= ? AND h.at < ?`, since, until)
		f.ofCase(q)
	case f.Case != "":
		q.add(`SELECT h.id FROM diagnoses AS d CROSS JOIN handshakes AS h ON h.id = d.handshake
			WHERE d.case_id = ? AND d.at >= ? AND d.at < ? `+counts, f.Case, since, until)
	default:
		q.add(`SELECT h.id FROM handshakes AS h INDEXED BY `+f.index()+`_by_time WHERE h.at >= ? AND h.at < ?`, since, until)
	}
	f.conditions(q, senders)
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

// index returns the first part of the name of the indexes to use.
func (f Filter) index() string {
	switch {
	case f.Returned:
		return "returned"
	case f.Failed || f.Case != "":
		return "failed"
	}
	return "handshakes"
}

// conditions appends the conditions that do not depend on the index.
func (f Filter) conditions(q *query, senders []byte) {
	if !f.Probes {
		q.add(`AND NOT h.probe`)
	}
	switch f.index() {
	case "returned":
		q.add(`AND h.after IS NOT NULL`)
	case "failed":
		q.add(`AND h.outcome = 3`)
	}
	switch {
	case senders != nil:
		q.add(`AND h.sender IN (SELECT value FROM json_each(?))`, senders)
	case f.Host != "":
		q.atHost(`(SELECT host FROM senders WHERE id = h.sender)`, f.Host)
	}
	if prefix, named := f.network(); named {
		q.add(`AND h.address BETWEEN ? AND ? AND length(h.address) = ?`,
			addrBytes(prefix.Addr()), addrBytes(lastOf(prefix)), prefix.Addr().BitLen()/8)
	}
}

// counts is the condition that a diagnosis d is unknown, or at least possible.
const counts = `AND d.confidence NOT BETWEEN 0.01 AND 0.29`

func (f Filter) ofCase(q *query) {
	if f.Case != "" {
		q.add(`AND EXISTS (SELECT 1 FROM diagnoses AS d WHERE d.handshake = h.id AND d.case_id = ? `+counts+`)`, f.Case)
	}
}

// senders returns the ids of the senders that match f as a JSON list, and whether they are
// few. The list is nil if all match, or all of a host that has many.
func (f Filter) senders(ctx context.Context, db *sql.DB) (list []byte, few bool, err error) {
	if f.Sender == "" && f.Host == "" {
		return nil, false, nil
	}
	q := &query{}
	q.add(`SELECT id FROM senders WHERE TRUE`)
	f.bySender(q)
	q.atHost("host", f.Host)
	if f.Sender == "" {
		q.add(`LIMIT ?`, fewSenders+1)
	}
	ids, err := rows(ctx, db, q, func(scan scanner) (id int64, err error) {
		err = scan(&id)
		return id, err
	})
	if err != nil {
		return nil, false, err
	}
	if f.Sender == "" && len(ids) > fewSenders {
		return nil, false, nil
	}
	if ids == nil {
		ids = []int64{} // null in JSON would be a value
	}
	list, err = json.Marshal(ids)
	return list, len(ids) <= fewSenders, err
}
