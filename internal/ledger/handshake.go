package ledger

import (
	"database/sql"
	"time"
)

// returnTime is how long after a failed handshake a sender's mail in plaintext is laid to it.
// Queues give up after five days.
const returnTime = 7 * 24 * time.Hour

func (h Handshake) write(s *store) error {
	s.last++
	h.ID = s.last
	h.EHLO, h.Fingerprint = bounded(h.EHLO, maxName), bounded(h.Fingerprint, maxName)
	after, err := h.after(s)
	if err != nil {
		return err
	}
	sender, err := h.count(s, after.Valid)
	if err != nil {
		return err
	}
	err = s.exec(`INSERT INTO handshakes
		(id, at, sender, outcome, session, address, version, suite, "group", rung, after, unused)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		h.ID, milli(h.At), sender, h.Outcome, bounded(h.Session, maxName), blob(h.Address),
		h.Version, h.Suite, h.Group, bounded(h.Rung, maxName), after, h.Unused)
	if err == nil && h.Outcome == Failed {
		err = h.fail(s)
	}
	return err
}

// after returns, for a session in plaintext, the last failed handshake of the same
// address, or of the same name in the same network, unless the sender that failed got in
// over TLS since: one with its name and its fingerprint, or any if it failed before
// it showed one. In plaintext there is none, so that it cannot be asked for there.
func (h Handshake) after(s *store) (id sql.NullInt64, err error) {
	if h.Outcome != Plaintext {
		return id, nil
	}
	// A stranger may have as many fingerprints as he likes.
	n, err := s.number(`SELECT coalesce(max(id), 0) FROM (
		SELECT id FROM (SELECT id FROM handshakes
			WHERE outcome = 3 AND address = ?1 AND at BETWEEN ?2 AND ?3 ORDER BY at DESC LIMIT 1)
		UNION ALL
		SELECT h.id FROM (SELECT id FROM senders WHERE network = ?4 AND ehlo = ?5 LIMIT 100) AS s
			JOIN handshakes AS h ON h.sender = s.id AND h.outcome = 3 AND h.at BETWEEN ?2 AND ?3)`,
		blob(h.Address), milli(h.At.Add(-returnTime)), milli(h.At), network(h.Network), h.EHLO)
	if err != nil || n == 0 {
		return id, err
	}
	since, err := s.number(`SELECT EXISTS (SELECT 1 FROM handshakes AS failed JOIN senders AS f ON f.id = failed.sender
		CROSS JOIN handshakes AS h WHERE failed.id = ? AND h.id > failed.id AND h.at >= failed.at AND h.outcome IN (1, 2)
			AND h.sender IN (SELECT id FROM senders WHERE network = f.network AND ehlo = f.ehlo
				AND f.fingerprint IN ('', fingerprint) LIMIT 100))`, n)
	return sql.NullInt64{Int64: n, Valid: since == 0}, err
}

// fail stores what only failed handshakes have.
func (h Handshake) fail(s *store) error {
	transcript, err := s.pack(h.Transcript)
	if err != nil {
		return err
	}
	err = s.exec(`INSERT INTO failures (handshake, stopped, next, transcript) VALUES (?, ?, ?, ?)`,
		h.ID, bounded(h.Stopped, maxText), bounded(h.Next, maxText), transcript)
	if err != nil {
		return err
	}
	diagnoses := h.Diagnoses
	if len(diagnoses) == 0 {
		diagnoses = []Diagnosis{{Case: Unknown}}
	}
	for _, d := range diagnoses[:min(len(diagnoses), maxDiagnoses)] {
		err := s.exec(`INSERT INTO diagnoses (handshake, case_id, confidence, at) VALUES (?, ?, ?, ?)
			ON CONFLICT DO NOTHING`, h.ID, bounded(d.Case, maxName), d.Confidence, milli(h.At))
		if err != nil {
			return err
		}
	}
	return nil
}

// count adds the handshake to what its sender did on the whole, and notes it for the day. It
// returns the sender's number.
func (h Handshake) count(s *store, returned bool) (sender int64, err error) {
	is := func(o Outcome) bool { return h.Outcome == o }
	counts := []any{is(Full), is(Resumed), is(Failed), is(Plaintext), returned, h.ID}
	sender, err = s.number(`INSERT INTO senders
		(full, resumed, failed, plaintext, returned, last, network, ehlo, fingerprint, first, seen)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?10, ?10)
		ON CONFLICT DO UPDATE SET seen = max(seen, excluded.seen),`+sumUp+` RETURNING id`,
		append(counts, network(h.Network), h.EHLO, h.Fingerprint, milli(h.At))...)
	if err == nil {
		s.days.add(h, sender, returned)
	}
	return sender, err
}

const sumUp = ` full = full + excluded.full, resumed = resumed + excluded.resumed,
	failed = failed + excluded.failed, plaintext = plaintext + excluded.plaintext,
	returned = returned + excluded.returned, last = excluded.last`

// dayOf returns the day in UTC of t, in days since 1970.
func dayOf(t time.Time) int64 { return milli(t) / millisOfDay }

const millisOfDay = 24 * 60 * 60 * 1000
