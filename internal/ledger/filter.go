package ledger

import (
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
