package ledger

import "postern/internal/safetext"

// A Revision replaces the diagnoses of a failed handshake, after another handshake of its
// sender has shown more.
type Revision struct {
	Session   string      `json:"session"`
	Diagnoses []Diagnosis `json:"diagnoses,omitempty"` // the most certain first; none if no case matches any more
	Why       string      `json:"why"`                 // what was said before, and what changed it
}

// Revise stores r, as AddHandshake does. It changes nothing if there is no such handshake.
func (l *Ledger) Revise(r Revision) { l.add(r) }

func (r Revision) size() int {
	return Handshake{Session: r.Session, Diagnoses: r.Diagnoses, Next: r.Why}.size()
}

func (r Revision) write(s *store) error {
	id, err := s.number(`SELECT coalesce(max(h.id), 0) FROM handshakes AS h CROSS JOIN senders AS s ON s.id = h.sender
		WHERE h.session = ? AND h.outcome = 3 AND s.host = ?`, r.Session, s.host)
	if err != nil || id == 0 {
		return err
	}
	at, err := s.number(`SELECT at FROM handshakes WHERE id = ?`, id)
	if err == nil {
		err = r.recount(s, id, at)
	}
	if err == nil {
		err = s.exec(`UPDATE failures SET revised = ? WHERE handshake = ?`, safetext.Truncate(r.Why, maxText), id)
	}
	if err == nil {
		err = s.exec(`DELETE FROM diagnoses WHERE handshake = ?`, id)
	}
	if err == nil {
		err = writeDiagnoses(s, id, at, r.Diagnoses)
	}
	if err == nil {
		err = s.record(revisionRecord, r)
	}
	return err
}

// recount counts the handshake under the case that is the most certain now, unless it is a probe's.
func (r Revision) recount(s *store, id, at int64) error {
	stmt, err := s.prepare(`SELECT probe, coalesce(` + leadingOf("h.id") + `, '` + Unknown + `') FROM handshakes AS h WHERE id = ?`)
	if err != nil {
		return err
	}
	var probe bool
	var was string
	if err := stmt.QueryRow(id).Scan(&probe, &was); err != nil || probe {
		return err
	}
	s.periods.add(at, Failed, was, -1, s.last)
	s.periods.add(at, Failed, safetext.Truncate(leading(r.Diagnoses), maxName), 1, s.last)
	return nil
}
