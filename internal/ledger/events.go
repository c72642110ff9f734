package ledger

import (
	"context"
	"database/sql"
	"time"

	"postern/internal/safetext"
)

// An Event is a change of the server itself, which may explain what senders did after it.
type Event struct {
	Host    string    `json:"-"` // as of a [Handshake]
	At      time.Time `json:"at"`
	Kind    EventKind `json:"kind"`
	Subject string    `json:"subject,omitempty"` // what has changed: a certificate's name, a policy's domain; may be empty
	Text    string    `json:"text"`              // what it is now, in words
}

// An EventKind is a kind of [Event].
type EventKind string

// The kinds of events.
const (
	CertificateChanged EventKind = "certificate"
	Reloaded           EventKind = "reload"
	PolicyChanged      EventKind = "policy"
	VersionChanged     EventKind = "version"
	GoVersionChanged   EventKind = "go-version"
)

// maxEvents is how many events are kept.
const maxEvents = 5000

// AddEvent stores e, as [Ledger.AddHandshake] does. An event with the same text as the last one of
// its kind and subject is no change, and not stored; only a reload always is.
func (l *Ledger) AddEvent(e Event) { l.add(e) }

func (e Event) size() int { return eventSize + len(e.Subject) + len(e.Text) }

func (e Event) write(s *store) error {
	err := s.exec(`INSERT INTO events (at, kind, subject, text, last, host) SELECT ?1, ?2, ?3, ?4, ?5, ?6
		WHERE ?2 = 'reload' OR ?4 IS NOT (SELECT text FROM events WHERE host = ?6 AND kind = ?2 AND subject = ?3 ORDER BY id DESC LIMIT 1)`,
		unixMilli(e.At), safetext.Truncate(string(e.Kind), maxName), safetext.Truncate(e.Subject, maxName), safetext.Truncate(e.Text, maxText), s.last, s.host)
	if err != nil {
		return err
	}
	return s.record(eventRecord, e)
}

// byEvents deletes the oldest events where there are too many: of this host, and of the others.
func (r *retention) byEvents(s *store) error {
	for _, of := range []string{`host = 0`, `host > 0`} {
		err := s.exec(`DELETE FROM events WHERE id IN (SELECT id FROM events WHERE `+of+` ORDER BY id DESC LIMIT -1 OFFSET ?)`, maxEvents)
		if err != nil {
			return err
		}
	}
	return nil
}

// Events returns the events in the span, the newest first, at most limit.
func (r *Reader) Events(ctx context.Context, in Span, limit int) ([]Event, error) {
	return readAll(ctx, r, "reading events", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT `+hostOf("host")+`, at, kind, subject, text FROM events WHERE at >= ? AND at < ?`, unixMilli(in.From), untilMilli(in.To))
		q.atHost("host", in.Host)
		q.add(`ORDER BY at DESC, id DESC LIMIT ?`, limit)
		return nil
	}, func(scan scanner) (e Event, err error) {
		err = scan(&e.Host, timeInto(&e.At), &e.Kind, &e.Subject, &e.Text)
		return e, err
	})
}
