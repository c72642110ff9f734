package ledger

import (
	"context"
	"database/sql"
	"time"

	"postern/internal/safetext"
)

// An Event is a change of the server itself, which may explain what senders did after it.
type Event struct {
	At      time.Time
	Kind    EventKind
	Subject string // what has changed: a certificate's name, a policy's domain; may be empty
	Text    string // what it is now, in words
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
	err := s.exec(`INSERT INTO events (at, kind, subject, text, last) SELECT ?1, ?2, ?3, ?4, ?5
		WHERE ?2 = 'reload' OR ?4 IS NOT (SELECT text FROM events WHERE kind = ?2 AND subject = ?3 ORDER BY id DESC LIMIT 1)`,
		unixMilli(e.At), string(e.Kind), safetext.Truncate(e.Subject, maxName), safetext.Truncate(e.Text, maxText), s.last)
	if err != nil {
		return err
	}
	return s.exec(`DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?`, maxEvents)
}

// Events returns the events in the span, the newest first, at most limit.
func (r *Reader) Events(ctx context.Context, in Span, limit int) ([]Event, error) {
	return readAll(ctx, r, "reading events", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT at, kind, subject, text FROM events WHERE at >= ? AND at < ? ORDER BY at DESC, id DESC LIMIT ?`,
			unixMilli(in.From), untilMilli(in.To), limit)
		return nil
	}, func(scan scanner) (e Event, err error) {
		err = scan(timeInto(&e.At), &e.Kind, &e.Subject, &e.Text)
		return e, err
	})
}
