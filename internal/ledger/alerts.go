package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"postern/internal/safetext"
)

// An Alert is something that is wrong, or was: see package alert. It is stored as JSON.
type Alert struct {
	ID      int64     `json:"alert"`          // numbers the alerts of a host in the order in which they began
	Host    string    `json:"host,omitempty"` // as of a [Handshake]; set when reading
	Kind    string    `json:"kind"`
	Subject string    `json:"subject"`       // who or what it is about; one alert of a kind is open for each
	Text    string    `json:"text"`          // what is wrong, in sentences
	Next    string    `json:"next"`          // what to do
	Since   time.Time `json:"since"`         // when it went wrong
	Began   time.Time `json:"began"`         // when that was clear
	Seen    time.Time `json:"seen"`          // when it was last so
	Gone    time.Time `json:"gone,omitzero"` // since when it is not; it ends if that lasts
	Ended   time.Time `json:"ended,omitzero"`

	// Reopened is how often it began again within a day of its end.
	Reopened int `json:"reopened,omitempty"`

	// Said is what each channel was last told of it.
	Said map[string]Said `json:"said,omitempty"`

	// Acknowledged is when an operator acknowledged it, By who. They are set when reading.
	Acknowledged time.Time `json:"acknowledged,omitzero"`
	By           string    `json:"by,omitempty"`
}

// Said is what a channel was last told of an alert.
type Said struct {
	Event string    `json:"event"`
	At    time.Time `json:"at"`
}

// maxAlertText bounds a text of an alert, in bytes.
const maxAlertText = 4 << 10

// maxEndedAlerts bounds the alerts that are kept after their end.
const maxEndedAlerts = 10_000

// PutAlert stores an alert in place of the one with its ID, as [Ledger.AddHandshake] does.
func (l *Ledger) PutAlert(a Alert) { l.add(alert(a)) }

type alert Alert

func (a alert) size() int {
	return eventSize + len(a.Subject) + len(a.Text) + len(a.Next) + 64*len(a.Said)
}

func (a alert) write(s *store) error {
	a.Subject = safetext.Truncate(a.Subject, maxName)
	a.Text, a.Next = safetext.Truncate(a.Text, maxAlertText), safetext.Truncate(a.Next, maxAlertText)
	a.Acknowledged, a.By = time.Time{}, "" // another table has them
	a.Host = ""
	value, err := json.Marshal(Alert(a))
	if err != nil {
		return nil // it has a time that JSON does not have, and would in the next attempt
	}
	if s.host != here {
		return s.exec(`INSERT INTO other_alerts (host, id, seen, ended, value) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET seen = excluded.seen, ended = excluded.ended, value = excluded.value`,
			s.host, a.ID, unixMilli(a.Seen), unixMilliOrNull(a.Ended), value)
	}
	err = s.exec(`INSERT INTO alerts (id, ended, value) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET ended = excluded.ended, value = excluded.value`, a.ID, unixMilliOrNull(a.Ended), value)
	if err != nil {
		return err
	}
	return s.record(alertRecord, a)
}

// An AlertFilter selects alerts. The zero value matches all.
type AlertFilter struct {
	Since time.Time // open ones, and those that ended since then
	Limit int       // as in [Filter]
	Host  string    // as in [Filter]
}

// Alerts returns the alerts that match f: the open ones first, then those that ended last, and
// among equals the newest. That one of another host was acknowledged there is not known here.
func (r *Reader) Alerts(ctx context.Context, f AlertFilter) ([]Alert, error) {
	return readAll(ctx, r, "reading alerts", func(_ context.Context, db *sql.DB, q *query) error {
		q.add(`SELECT `+hostOf("host")+`, value, at, by FROM (
			SELECT 0 AS host, id, ended, value, at, by FROM alerts LEFT JOIN acknowledgements ON alert = id
			UNION ALL SELECT host, id, ended, value, NULL, NULL FROM other_alerts)
			WHERE (ended IS NULL OR ended >= ?)`, unixMilli(f.Since))
		q.atHost("host", f.Host)
		q.add(`ORDER BY ended IS NOT NULL, ended DESC, host, id DESC LIMIT ?`, Filter{Limit: f.Limit}.limit())
		return nil
	}, func(scan scanner) (a Alert, err error) {
		var value []byte
		var by sql.NullString
		var at time.Time
		var host string
		if err = scan(&host, &value, timeOrNullInto(&at), &by); err == nil {
			err = json.Unmarshal(value, &a)
		}
		a.Host = host
		a.Acknowledged, a.By = at, by.String
		return a, err
	})
}

// LastAlert returns the highest ID of an alert of this host, 0 if there is none.
func (r *Reader) LastAlert(ctx context.Context) (id int64, err error) {
	err = r.read("reading alerts", func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM alerts`).Scan(&id)
	})
	return id, err
}

// ErrNoAlert means that there is no open alert with the ID.
var ErrNoAlert = errors.New("no such open alert")

// AcknowledgeAlert notes in the ledger at path that somebody knows of an open alert, as [SetPin]
// sets a pin. The error wraps [ErrNoAlert] if there is none.
func AcknowledgeAlert(ctx context.Context, path string, id int64, by string, at time.Time) error {
	return alter(ctx, path, fmt.Sprintf("acknowledging alert %d", id), func(conn *sql.Conn) error {
		result, err := conn.ExecContext(ctx, `INSERT INTO acknowledgements (alert, at, by)
			SELECT id, ?, ? FROM alerts WHERE id = ? AND ended IS NULL ON CONFLICT DO NOTHING`, unixMilli(at), safetext.Truncate(by, maxName), id)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n > 0 {
			return err
		}
		var open bool
		err = conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM alerts WHERE id = ? AND ended IS NULL)`, id).Scan(&open)
		if err == nil && !open {
			err = fmt.Errorf("%d: %w", id, ErrNoAlert)
		}
		return err
	})
}

// forgetAlerts deletes alerts that ended before a time, or beyond maxEndedAlerts.
func (s *store) forgetAlerts(before int64) error {
	err := s.exec(`DELETE FROM alerts WHERE ended < ? OR id IN
		(SELECT id FROM alerts WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT -1 OFFSET ?)`, before, maxEndedAlerts)
	if err != nil {
		return err
	}
	err = s.exec(`DELETE FROM other_alerts WHERE seen < ? OR (host, id) IN (
		SELECT host, id FROM other_alerts ORDER BY ended IS NOT NULL, coalesce(ended, seen) DESC LIMIT -1 OFFSET ?)`, before, maxEndedAlerts)
	if err != nil {
		return err
	}
	return s.exec(`DELETE FROM acknowledgements WHERE alert NOT IN (SELECT id FROM alerts)`)
}

// A Try is what a rule for alerts has to know of a session: whether its sender could deliver.
type Try struct {
	ID        int64 // as of [Handshake]
	Elsewhere bool  // it was at another host of the fleet, and worked
	Session   string
	At        time.Time
	Network   netip.Prefix
	EHLO      string
	Name      string // by forward-confirmed reverse DNS, if it is known
	JA4       string
	Outcome   Outcome
	Unused    bool   // it completed, and the client left without a command
	Returned  bool   // it delivered in plaintext, after a failed handshake
	Case      string // of a failed one, the most certain; see [Unknown]
	Stopped   string // of a failed one
}

// MaxTries is how many [Reader.Tries] returns at most.
const MaxTries = maxLimit

// Tries returns the sessions of senders that were stored after the one with an ID, the oldest
// first, at most [MaxTries]. Of other hosts there are those only that worked: what fails there is
// for them to judge.
func (r *Reader) Tries(ctx context.Context, after int64) ([]Try, error) {
	return readAll(ctx, r, "reading sessions", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT h.id, s.host <> 0, h.session, h.at, s.network, s.ehlo, s.name, s.fingerprint, h.outcome, h.unused, h.after IS NOT NULL,
			coalesce(CASE h.outcome WHEN 3 THEN `+leadingOf("h.id")+` END, ''),
			coalesce(CASE h.outcome WHEN 3 THEN (SELECT stopped FROM failures WHERE handshake = h.id) END, '')
			FROM handshakes AS h NOT INDEXED JOIN senders AS s ON s.id = h.sender
			WHERE h.id > ? AND NOT h.probe AND (s.host = 0 OR h.outcome <> 3 AND NOT h.unused) ORDER BY h.id LIMIT ?`, after, MaxTries)
		return nil
	}, func(scan scanner) (t Try, err error) {
		err = scan(&t.ID, &t.Elsewhere, &t.Session, timeInto(&t.At), prefixInto(&t.Network), &t.EHLO, &t.Name, &t.JA4, &t.Outcome, &t.Unused, &t.Returned, &t.Case, &t.Stopped)
		return t, err
	})
}

// PutMemory stores what a rule for alerts has learned in place of what it had stored, as
// [Ledger.AddHandshake] does.
func (l *Ledger) PutMemory(name string, value []byte) { l.add(memory{name, value}) }

// maxMemory bounds what a rule can store, in bytes.
const maxMemory = 16 << 20

type memory struct {
	name  string
	value []byte
}

func (m memory) size() int { return eventSize + len(m.value) }

func (m memory) write(s *store) error {
	packed, err := compress(s.gzip, m.value)
	if err != nil {
		return err
	}
	return s.exec(`INSERT INTO alert_memory (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, m.name, packed)
}

// Memory returns what a rule for alerts has stored, nothing if it has not yet.
func (r *Reader) Memory(ctx context.Context, name string) (value []byte, err error) {
	err = r.read("reading what alerts know", func(db *sql.DB) error {
		value, err = memoryOf(ctx, db, name)
		return err
	})
	return value, err
}

func memoryOf(ctx context.Context, db querier, name string) ([]byte, error) {
	var packed []byte
	err := db.QueryRowContext(ctx, `SELECT value FROM alert_memory WHERE name = ?`, name).Scan(&packed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return unpack(packed, maxMemory)
}
