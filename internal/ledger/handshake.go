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
	sender, err := h.sender(s)
	if err != nil {
		return err
	}
	after, err := h.after(s)
	if err != nil {
		return err
	}
	err = s.exec(`INSERT INTO handshakes
		(id, at, sender, outcome, session, address, version, suite, "group", rung, after)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		h.ID, h.At.UnixMilli(), sender, h.Outcome, bounded(h.Session, maxName), blob(h.Address),
		h.Version, h.Suite, h.Group, bounded(h.Rung, maxName), after)
	if err != nil {
		return err
	}
	if err == nil && h.Outcome == Failed {
		err = h.fail(s)
	}
	if err != nil {
		return err
	}
	return h.count(s, sender, after.Valid)
}

// sender returns the row that stands for who the handshake is with.
func (h Handshake) sender(s *store) (int64, error) {
	return s.number(`INSERT INTO senders (network, ehlo, fingerprint, first, seen, last)
		VALUES (?1, ?2, ?3, ?4, ?4, ?5)
		ON CONFLICT DO UPDATE SET seen = max(seen, excluded.seen), last = excluded.last
		RETURNING id`, network(h.Network), h.EHLO, h.Fingerprint, h.At.UnixMilli(), h.ID)
}

// after returns, for a session in plaintext, the last failed handshake of the same
// address, or of the same name in the same network. The fingerprint cannot tell: there
// is none in plaintext.
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
		blob(h.Address), h.At.Add(-returnTime).UnixMilli(), h.At.UnixMilli(), network(h.Network), h.EHLO)
	return sql.NullInt64{Int64: n, Valid: n > 0}, err
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
			ON CONFLICT DO NOTHING`, h.ID, bounded(d.Case, maxName), d.Confidence, h.At.UnixMilli())
		if err != nil {
			return err
		}
	}
	return nil
}

// count adds the handshake to its sender's day.
func (h Handshake) count(s *store, sender int64, returned bool) error {
	is := func(o Outcome) bool { return h.Outcome == o }
	return s.exec(`INSERT INTO days
		(day, sender, version, suite, "group", full, resumed, failed, plaintext, returned, last)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET full = full + excluded.full, resumed = resumed + excluded.resumed,
			failed = failed + excluded.failed, plaintext = plaintext + excluded.plaintext,
			returned = returned + excluded.returned, last = excluded.last`,
		dayOf(h.At), sender, h.Version, h.Suite, h.Group,
		is(Full), is(Resumed), is(Failed), is(Plaintext), returned, h.ID)
}

// dayOf returns the day in UTC of t, in days since 1970.
func dayOf(t time.Time) int64 { return t.Unix() / secondsOfDay }

const secondsOfDay = 24 * 60 * 60
