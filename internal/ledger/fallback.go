package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"postern/internal/fallback"
	"postern/internal/safetext"
)

// A decision is a [fallback.Decision] as an event.
type decision fallback.Decision

func (d decision) size() int { return eventSize + len(d.Fingerprint) + len(d.Why) }

func (d decision) write(s *store) error {
	if err := d.store(s); err != nil {
		return err
	}
	return s.record(decisionRecord, d)
}

func (d decision) store(s *store) error {
	return s.exec(`INSERT INTO decisions (at, kind, network, fingerprint, "from", "to", why, last, host)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		unixMilli(d.At), safetext.Truncate(string(d.Kind), maxName), prefixBytes(d.Network), safetext.Truncate(d.Fingerprint, maxName),
		d.From.String(), d.To.String(), safetext.Truncate(d.Why, maxText), s.last, s.host)
}

// An adopted is a decision of another host that this one took over.
type adopted fallback.Decision

func (a adopted) size() int            { return decision(a).size() }
func (a adopted) write(s *store) error { return decision(a).store(s) }

// A Decision is a stored decision of the fallback.
type Decision struct {
	Host string `json:"host,omitempty"` // that made it, as of a [Handshake]
	fallback.Decision
}

// Decisions returns the decisions that match f, the newest first: those on the sender's
// networks, and those on its fingerprints in all networks. It uses Since,
// Until, Sender, Host and Limit of f.
func (r *Reader) Decisions(ctx context.Context, f Filter) ([]Decision, error) {
	return readAll(ctx, r, "reading decisions", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT `+hostOf("host")+`, at, kind, network, fingerprint, "from", "to", why FROM decisions WHERE at >= ? AND at < ?`, unixMilli(f.Since), untilMilli(f.Until))
		q.atHost("host", f.Host)
		f.decided(q)
		q.add(`ORDER BY at DESC, id DESC LIMIT ?`, f.limit())
		return nil
	}, func(scan scanner) (d Decision, err error) {
		err = scan(&d.Host, timeInto(&d.At), &d.Kind, prefixInto(&d.Network), &d.Fingerprint, modeInto(&d.From), modeInto(&d.To), &d.Why)
		return d, err
	})
}

// decided appends the condition that a decision is on f's senders.
func (f Filter) decided(q *query) {
	if f.Sender == "" {
		return
	}
	everywhere := prefixBytes(fallback.Everywhere)
	q.add(`AND (network = ? AND fingerprint IN (SELECT fingerprint FROM senders WHERE TRUE`, everywhere)
	f.bySender(q)
	q.add(`) OR network <> ?`, everywhere)
	if prefix, named := f.network(); named {
		overlapping(q, prefix)
	} else {
		q.add(`AND network IN (SELECT network FROM senders WHERE TRUE`)
		f.bySender(q)
		q.add(`)`)
	}
	q.add(`)`)
}

// A state is a [fallback.State] as an event. It replaces an earlier one with the same network
// and fingerprint.
type state fallback.State

func (st state) size() int { return 3*eventSize + 2*len(st.Fingerprint) + len(st.Why) }

func (st state) write(s *store) error {
	value, err := json.Marshal(fallback.State(st))
	if err != nil {
		return nil // it is invalid, and would be in the next attempt
	}
	return s.exec(`INSERT INTO states (network, fingerprint, at, value, last) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET at = excluded.at, value = excluded.value, last = excluded.last`,
		prefixBytes(st.Network), safetext.Truncate(st.Fingerprint, maxName), unixMilli(st.Seen), value, s.last)
}

// States returns the stored states, the most recently seen first, at most [MaxStates]. It leaves out
// those that it cannot decode and returns an error for them beside the others.
func (r *Reader) States(ctx context.Context) ([]fallback.State, error) {
	return r.states(ctx, func(*query) {}, MaxStates)
}

// maxStatesOf bounds the states of some networks: a client can make up any number of fingerprints.
const maxStatesOf = 1000

// StatesOf returns the states of the networks, as States does, at most 1,000.
func (r *Reader) StatesOf(ctx context.Context, networks []netip.Prefix) ([]fallback.State, error) {
	if len(networks) == 0 {
		return nil, nil
	}
	return r.states(ctx, func(q *query) {
		q.add(`WHERE network IN (?` + strings.Repeat(`, ?`, len(networks)-1) + `)`)
		for _, network := range networks {
			q.args = append(q.args, prefixBytes(network))
		}
	}, maxStatesOf)
}

func (r *Reader) states(ctx context.Context, where func(*query), limit int) ([]fallback.State, error) {
	values, err := readAll(ctx, r, "reading states", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT value FROM states`)
		where(q)
		q.add(`ORDER BY at DESC LIMIT ?`, limit)
		return nil
	}, func(scan scanner) (value []byte, err error) {
		err = scan(&value)
		return value, err
	})
	errs := []error{err}
	states := make([]fallback.State, 0, len(values))
	for _, value := range values {
		var s fallback.State
		if err := json.Unmarshal(value, &s); err != nil {
			errs = append(errs, fmt.Errorf("ledger: %s: decoding a state: %w", r.path, err))
			continue
		}
		states = append(states, s)
	}
	return states, errors.Join(errs...)
}
