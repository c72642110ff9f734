package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/netip"
	"strings"
)

// A Party says whose sessions are meant: those of each of the addresses, and those of who called
// itself by one of the domains or by a name below it, in any case. The zero Party is nobody.
// Of both lists the first 256 are heeded.
type Party struct {
	Addresses []netip.Addr
	Domains   []string
}

const maxParty = 256

func (p Party) addresses() []netip.Addr { return p.Addresses[:min(len(p.Addresses), maxParty)] }

// senders returns the numbers of the senders that may be the party's, as a JSON list.
func (p Party) senders(ctx context.Context, db *sql.DB) ([]byte, error) {
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
func (p Party) named(q *query) {
	for _, domain := range p.Domains[:min(len(p.Domains), maxParty)] {
		name := escapeLike.Replace(domain)
		q.add(`OR ehlo LIKE ? ESCAPE '\' OR ehlo LIKE ? ESCAPE '\'`, name, "%."+name)
	}
}

// among appends the condition that a session is the party's.
func (p Party) among(q *query) {
	marks := strings.TrimPrefix(strings.Repeat(", ?", len(p.addresses())), ", ")
	q.add(`AND (h.address IN (` + marks + `)`)
	for _, addr := range p.addresses() {
		q.args = append(q.args, blob(addr))
	}
	p.named(q)
	q.add(`)`)
}
