package ledger

import (
	"context"
	"database/sql"
	"net/netip"
)

func (d Decision) write(s *store) error {
	return s.exec(`INSERT INTO decisions (at, kind, network, fingerprint, "from", "to", why, last)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		milli(d.At), bounded(d.Kind, maxName), network(d.Network), bounded(d.Fingerprint, maxName),
		bounded(d.From, maxName), bounded(d.To, maxName), bounded(d.Why, maxText), s.last)
}

// Decisions returns the ladder's that f lets through, the newest first: those on the sender's
// networks, and those on its fingerprints as a whole. Of f it heeds Since, Sender and Limit.
func (r *Reader) Decisions(ctx context.Context, f Filter) ([]Decision, error) {
	return readAll(ctx, r, "reading decisions", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT at, kind, network, fingerprint, "from", "to", why FROM decisions WHERE at >= ?`, milli(f.Since))
		f.decided(q)
		q.add(`ORDER BY at DESC, id DESC LIMIT ?`, f.limit())
		return nil
	}, func(scan scanner) (d Decision, err error) {
		err = scan(millis{&d.At}, &d.Kind, prefix{&d.Network}, &d.Fingerprint, &d.From, &d.To, &d.Why)
		return d, err
	})
}

// decided appends the condition that a decision is on f's senders.
func (f Filter) decided(q *query) {
	if f.Sender == "" {
		return
	}
	q.add(`AND (network = ? AND fingerprint IN (SELECT fingerprint FROM senders WHERE TRUE`, network(everywhere))
	f.bySender(q)
	q.add(`) OR network <> ?`, network(everywhere))
	if prefix, named := f.network(); named {
		overlapping(q, prefix)
	} else {
		q.add(`AND network IN (SELECT network FROM senders WHERE TRUE`)
		f.bySender(q)
		q.add(`)`)
	}
	q.add(`)`)
}

// everywhere stands for the network of a fingerprint as a whole, of IPv4 senders too.
var everywhere = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
