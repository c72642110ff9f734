package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/netip"
	"time"

	"postern/internal/organization"
	"postern/internal/safetext"
	"postern/sessionticket"
)

// A run is what the handshakes of a sender say, in the order in which they are stored, about
// whether it can deliver.
type run struct {
	worked, delivered int64 // times of the last; 0 if there is none
	failing           int64 // failed handshakes after the last that worked
	since, last       int64 // times of the first and the last of them
}

// add adds a handshake. One that completed unused neither works nor fails.
func (r *run) add(h Handshake) {
	at := unixMilli(h.At)
	switch {
	case h.Probe:
	case h.Outcome == Failed:
		if r.failing == 0 {
			r.since = at
		}
		r.failing++
		r.last = max(r.last, at)
	case !h.Unused:
		r.worked = max(r.worked, at)
		r.failing, r.since = 0, 0
		if h.Delivered || h.Outcome == Plaintext {
			r.delivered = max(r.delivered, at)
		}
	}
}

// A Name is the name by forward-confirmed reverse DNS of an address of a sender.
type Name struct {
	Network netip.Prefix `json:"network"`
	EHLO    string       `json:"ehlo"`
	Name    string       `json:"name"`
}

// AddName stores the name for the senders of that network and EHLO name, as
// [Ledger.AddHandshake] does. It changes nothing if there are none.
func (l *Ledger) AddName(n Name) { l.add(n) }

func (n Name) size() int { return eventSize + len(n.EHLO) + len(n.Name) }

func (n Name) write(s *store) error {
	// LIMIT, since a client can make up any number of fingerprints.
	err := s.exec(`UPDATE senders SET name = ?1, organization = ?4 WHERE id IN
		(SELECT id FROM senders WHERE network = ?2 AND ehlo = ?3 AND name <> ?1 AND host = ?5 LIMIT 100)`,
		safetext.Truncate(n.Name, maxName), prefixBytes(n.Network), safetext.Truncate(n.EHLO, maxName), organization.Of(n.Name, n.EHLO).Domain, s.host)
	if err != nil {
		return err
	}
	return s.record(nameRecord, n)
}

// A FailingSender is a sender whose last handshakes failed.
type FailingSender struct {
	Host        string // of the last handshake; see [Handshake]
	Network     netip.Prefix
	EHLO        string
	Name        string // by forward-confirmed reverse DNS
	Fingerprint string // empty if there was no ClientHello

	Failed      int64     // handshakes that failed since the last that worked
	Since, Last time.Time // the first and the last of them
	Worked      time.Time // the last session before them that worked; zero if there is none

	// What other clients of the same network and EHLO name did last that worked: with another
	// fingerprint, and in plaintext. Zero if there is none.
	OtherWorked, Plaintext time.Time

	// Of the last handshake.
	Session   string
	Mode      sessionticket.Mode // without a meaning if there is no Fingerprint
	Diagnosis Diagnosis          // the most certain; see [Unknown]
	Next      string             // the sender's next mode and the reason, in words
}

// worstFirst orders failing senders, in SQL.
const worstFirst = `worked > 0 DESC, failing DESC, failing_last DESC`

// maxOfNetwork is how many failing senders of a network are read: it can make up any number.
const maxOfNetwork = 100

// Failing returns the senders that failed in the span and did not complete a handshake since, at
// any host, at most limit of the 10,000 that failed last. A sender that fails at several hosts is
// one. Areas take turns, in them networks. Those that worked before come first, then those with the
// most failures.
func (r *Reader) Failing(ctx context.Context, in Span, limit int) ([]FailingSender, error) {
	return readAll(ctx, r, "reading failing senders", func(ctx context.Context, db *sql.DB, q *query) error {
		fleet, err := others(ctx, db)
		if err != nil {
			return err
		}
		failed, since := `c.failing`, `c.failing_since`
		if fleet {
			of := `senders AS s WHERE ` + sameSender("c")
			if in.Host != "" {
				of = `senders AS s WHERE s.id = c.id`
			}
			failed = `(SELECT sum(` + failingOf("s", "count(*)", "s.failing") + `) FROM ` + of + `)`
			since = `(SELECT min(` + failingOf("s", "min(at)", "s.failing_since") + `) FROM ` + of + `)`
		}
		q.add(`WITH chosen AS MATERIALIZED (SELECT senders.*, turn FROM (
				SELECT *, row_number() OVER (PARTITION BY `+areaColumns+` ORDER BY of_network, `+worstFirst+`) AS turn FROM (
					SELECT *, row_number() OVER (PARTITION BY network ORDER BY `+worstFirst+`) AS of_network FROM (
						SELECT id, network, worked, failing, failing_last FROM senders AS c INDEXED BY senders_failing
						WHERE failing > 0 AND failing_last >= ? AND failing_since < ?`, unixMilli(in.From), unixMilli(in.To))
		if fleet {
			q.add(`AND NOT EXISTS (SELECT 1 FROM senders AS s WHERE ` + sameSender("c") + ` AND s.id <> c.id AND s.worked >= c.failing_last)`)
		}
		if fleet && in.Host == "" { // the host at which it failed last
			q.add(`AND NOT EXISTS (SELECT 1 FROM senders AS s WHERE ` + sameSender("c") + `
				AND s.failing > 0 AND (s.failing_last, ` + hostOf("s.host") + `) > (c.failing_last, ` + hostOf("c.host") + `))`)
		}
		q.atHost("host", in.Host)
		q.add(`ORDER BY failing_last DESC LIMIT ?))
				WHERE of_network <= ? ORDER BY turn, `+worstFirst+` LIMIT ?)
			JOIN senders USING (id))`, maxLimit, maxOfNetwork, limit)
		q.add(`SELECT `+hostOf("c.host")+`, c.network, c.ehlo, c.name, c.fingerprint, `+failed+`, `+since+`, c.failing_last,
				(SELECT nullif(max(worked), 0) FROM senders AS s WHERE `+sameSender("c")+`),
				(SELECT nullif(max(worked), 0) FROM (SELECT worked FROM senders
					WHERE network = c.network AND ehlo = c.ehlo AND fingerprint NOT IN ('', c.fingerprint) LIMIT ?)),
				(SELECT nullif(max(worked), 0) FROM senders WHERE network = c.network AND ehlo = c.ehlo AND fingerprint = ''),
				coalesce(h.session, ''), coalesce(h.mode, ''), coalesce(f.next, ''), coalesce(d.case_id, ?), coalesce(d.confidence, 0), coalesce(d.evidence, '[]')
			FROM chosen AS c
			LEFT JOIN handshakes AS h ON h.id = `+lastFailedOf("= c.id")+`
			LEFT JOIN failures AS f ON f.handshake = h.id
			LEFT JOIN diagnoses AS d ON d.handshake = h.id AND d.case_id = `+leadingOf("h.id")+`
			ORDER BY c.turn, c.worked > 0 DESC, c.failing DESC, c.failing_last DESC`, maxOfNetwork, Unknown)
		return nil
	}, func(scan scanner) (s FailingSender, err error) {
		var evidence []byte
		err = scan(&s.Host, prefixInto(&s.Network), &s.EHLO, &s.Name, &s.Fingerprint, &s.Failed, timeInto(&s.Since), timeInto(&s.Last),
			timeOrNullInto(&s.Worked), timeOrNullInto(&s.OtherWorked), timeOrNullInto(&s.Plaintext),
			&s.Session, modeInto(&s.Mode), &s.Next, &s.Diagnosis.Case, &s.Diagnosis.Confidence, &evidence)
		if err == nil {
			err = json.Unmarshal(evidence, &s.Diagnosis.Evidence)
		}
		return s, err
	})
}

// failingOf is, in SQL, how many handshakes of a row of senders failed since the sender worked at any
// host, or the time of the first of them: what the row has if it did not work elsewhere since, else
// what the failed handshakes after that come to. At its own host a sender works and fails in the
// order in which that is stored, as clocks can jump; between hosts in the order of time.
func failingOf(row, after, known string) string {
	elsewhere := `(SELECT coalesce(max(o.worked), 0) FROM senders AS o WHERE o.network = ` + row + `.network
		AND o.ehlo = ` + row + `.ehlo AND o.fingerprint = ` + row + `.fingerprint AND o.id <> ` + row + `.id)`
	return `CASE WHEN ` + row + `.failing > 0 THEN iif(` + elsewhere + ` < ` + row + `.failing_since, ` + known + `,
		(SELECT ` + after + ` FROM handshakes INDEXED BY failed_by_sender
			WHERE sender = ` + row + `.id AND outcome = 3 AND NOT probe AND at > ` + elsewhere + `)) END`
}

// lastFailedOf is, in SQL, the id of the last failed handshake of the senders with some ids. Of several at
// the same time it is the same one at all hosts, which number handshakes each in its way.
func lastFailedOf(ids string) string {
	return `(SELECT id FROM handshakes INDEXED BY failed_by_sender
		WHERE sender ` + ids + ` AND outcome = 3 AND NOT probe ORDER BY at DESC, session DESC LIMIT 1)`
}

// A WorkingSender is a sender whose sessions work.
type WorkingSender struct {
	Network      netip.Prefix
	Organization string // its domain
	Fingerprint  string
	Worked       time.Time // its last session that worked
}

// WorkingSince returns the senders of organizations, by their domains, with one of the
// fingerprints and a session that worked since a time, at most 10,000.
func (r *Reader) WorkingSince(ctx context.Context, since time.Time, organizations, fingerprints []string) ([]WorkingSender, error) {
	return readAll(ctx, r, "reading working senders", func(_ context.Context, _ *sql.DB, q *query) error {
		domains, _ := json.Marshal(append([]string{}, organizations...)) // texts can be encoded
		software, _ := json.Marshal(append([]string{}, fingerprints...))
		q.add(`SELECT network, organization, fingerprint, worked FROM senders INDEXED BY senders_by_organization
			WHERE organization <> '' AND organization IN (SELECT value FROM json_each(?))
				AND fingerprint IN (SELECT value FROM json_each(?)) AND worked >= ? LIMIT ?`,
			domains, software, unixMilli(since), maxLimit)
		return nil
	}, func(scan scanner) (s WorkingSender, err error) {
		err = scan(prefixInto(&s.Network), &s.Organization, &s.Fingerprint, timeInto(&s.Worked))
		return s, err
	})
}

// A Traffic says whether there was any in a span.
type Traffic struct {
	Worked    bool  // a session worked
	Delivered bool  // a message was accepted
	Refused   int64 // networks with commands that were refused or deferred, and with no message like them accepted since
}

// Traffic returns what there was in the span, or since: a sender that came later too counts as
// later.
func (r *Reader) Traffic(ctx context.Context, in Span) (Traffic, error) {
	found, err := readAll(ctx, r, "reading traffic", func(_ context.Context, _ *sql.DB, q *query) error {
		from, to := unixMilli(in.From), unixMilli(in.To)
		q.add(`SELECT EXISTS (SELECT 1 FROM senders WHERE worked >= ? AND first < ?`, from, to)
		q.atHost("host", in.Host)
		q.add(`), EXISTS (SELECT 1 FROM senders WHERE delivered >= ? AND first < ?`, from, to)
		q.atHost("host", in.Host)
		q.add(`), (SELECT count(DISTINCT network) FROM (SELECT network FROM refusals WHERE seen >= ? AND first < ? AND accepted IS NULL`, from, to)
		q.atHost("host", in.Host)
		q.add(`ORDER BY seen DESC LIMIT ?))`, maxLimit)
		return nil
	}, func(scan scanner) (t Traffic, err error) {
		err = scan(&t.Worked, &t.Delivered, &t.Refused)
		return t, err
	})
	if len(found) == 1 {
		return found[0], err
	}
	return Traffic{}, err
}
