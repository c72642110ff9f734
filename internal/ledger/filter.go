package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/netip"
	"strings"
	"time"
)

// A Filter says what to read. The zero value lets everything through.
type Filter struct {
	// Since leaves out what was before. Counts are kept by the day: its whole day, in
	// UTC, is counted.
	Since time.Time

	// Sender is an address, a prefix, or a part of the EHLO name in any case.
	Sender string

	// Case lets only failed handshakes with this diagnosis through; see [Unknown].
	Case string

	// Failed lets only failed handshakes, and senders that had one, through. Returned
	// does so with mail in plaintext after a failed handshake; it counts before Failed.
	Failed, Returned bool

	// Limit is how many are given at most: 100 if it is 0, 10000 if it is more.
	Limit int

	// After lets only handshakes through that were written after the one with this
	// [Handshake.ID], and turns the order round: the oldest come first. It is for
	// those who follow.
	After int64
}

// Unknown is, in [Filter.Case], a failed handshake without any diagnosis.
const Unknown = "unknown"

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

// network returns the prefix that Sender names, if it names one.
func (f Filter) network() (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(f.Sender); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(f.Sender)
	return prefix.Masked(), err == nil
}

// bySender appends the condition that a row of senders, or one with a network of
// its own, is of the sender.
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

// overlapping appends the condition that a network has an address in common with p: it
// is within p, or it is one of those that p is within.
func overlapping(q *query, p netip.Prefix) {
	first, last := blob(p.Addr()), blob(lastOf(p))
	q.add(`AND (network BETWEEN ? AND ? AND length(network) = ?`,
		first, append(last, 0xff), len(first)+1)
	q.add(`OR network IN (?` + strings.Repeat(`, ?`, p.Bits()) + `))`)
	for bits := range p.Bits() + 1 {
		q.args = append(q.args, network(netip.PrefixFrom(p.Addr(), bits)))
	}
}

// lastOf returns the last address of p.
func lastOf(p netip.Prefix) netip.Addr {
	bytes := blob(p.Addr())
	for bit := p.Bits(); bit < 8*len(bytes); bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}

// narrow is how many senders are few: then each one's handshakes are looked up. Of more,
// the newest handshakes of all are looked through.
const narrow = 1000

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
