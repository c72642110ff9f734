package ledger

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"time"

	"postern/internal/safetext"
	"postern/sessionticket"
)

// An Outcome is how a session stood with TLS.
type Outcome int

// The outcomes. The numbers are in the file.
const (
	Full      Outcome = iota + 1 // a full handshake
	Resumed                      // a handshake that resumed a session
	Failed                       // a handshake that did not complete, or whose connection could not be used
	Plaintext                    // mail without TLS
)

// String returns the word for it.
func (o Outcome) String() string {
	switch o {
	case Full:
		return "full"
	case Resumed:
		return "resumed"
	case Failed:
		return "failed"
	case Plaintext:
		return "plaintext"
	}
	return "unknown"
}

// A Handshake is one handshake, or one session that did without, as it is noted and
// as it is read. Only failed ones have what is from Stopped on.
type Handshake struct {
	// ID numbers handshakes in the order in which they were written. It is for
	// [Filter.After]; a person is shown Session. It is not noted.
	ID int64

	Session     string    // the session's id, as in its replies and the log
	At          time.Time // kept to the millisecond
	Address     netip.Addr
	Network     netip.Prefix // the prefix that stands for the sender
	EHLO        string       // what the sender called itself; empty if it did not
	Fingerprint string       // JA4 of the ClientHello; empty if there was none
	Outcome     Outcome
	Mode        sessionticket.Mode // without a meaning if there is no Fingerprint

	// What was negotiated, in numbers of the wire; 0 where nothing was.
	Version, Suite, Group uint16

	// Unused says of a handshake that completed that no command came over it: the sender
	// left in good order, as monitors do, and senders that check the certificate then. It is
	// not read one by one: see [Activity].
	Unused bool

	// After is, in plaintext, the session of the failed handshake that the sender
	// came back from; empty if it had not failed within a week. It is not noted.
	After string

	Stopped   string      // where it stopped, in words
	Next      string      // what is next for the sender, in words
	Diagnoses []Diagnosis // the surest first; none stands for a case not known

	// Transcript is the handshake's JSON. Lists of handshakes leave it out; one that
	// is larger than 256 KiB is not kept.
	Transcript []byte
}

// A Diagnosis is a case that a failed handshake may be.
type Diagnosis struct {
	Case       string  `json:"case"`
	Confidence float64 `json:"confidence"` // from 0 to 1
}

// Bounds in bytes of what is stored. All but the transcript's are far above what
// honest senders and this program say; Postfix cuts host names at 255 too.
const (
	maxName       = 255 // EHLO names, fingerprints, sessions, cases
	maxText       = 1024
	maxDiagnoses  = 8
	maxTranscript = 256 << 10
)

// eventSize is about what an event takes beside its text.
const eventSize = 256

func (h Handshake) size() int {
	size := eventSize + len(h.Session) + len(h.EHLO) + len(h.Fingerprint) + len(h.Stopped) + len(h.Next) + len(h.Transcript)
	for _, d := range h.Diagnoses {
		size += len(d.Case)
	}
	return size
}

// returnTime is how long after a failed handshake a sender's mail in plaintext is laid to it.
// Queues give up after five days.
const returnTime = 7 * 24 * time.Hour

func (h Handshake) write(s *store) error {
	s.last++
	h.ID = s.last
	h.EHLO, h.Fingerprint = safetext.Truncate(h.EHLO, maxName), safetext.Truncate(h.Fingerprint, maxName)
	after, err := h.after(s)
	if err != nil {
		return err
	}
	sender, err := h.count(s, after.Valid)
	if err != nil {
		return err
	}
	err = s.exec(`INSERT INTO handshakes
		(id, at, sender, outcome, session, address, version, suite, "group", mode, after, unused)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		h.ID, milli(h.At), sender, h.Outcome, safetext.Truncate(h.Session, maxName), blob(h.Address),
		h.Version, h.Suite, h.Group, h.modeText(), after, h.Unused)
	if err == nil && h.Outcome == Failed {
		err = h.fail(s)
	}
	return err
}

func (h Handshake) modeText() string {
	if h.Fingerprint == "" {
		return ""
	}
	return h.Mode.String()
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
		h.ID, safetext.Truncate(h.Stopped, maxText), safetext.Truncate(h.Next, maxText), transcript)
	if err != nil {
		return err
	}
	diagnoses := h.Diagnoses
	if len(diagnoses) == 0 {
		diagnoses = []Diagnosis{{Case: Unknown}}
	}
	for _, d := range diagnoses[:min(len(diagnoses), maxDiagnoses)] {
		err := s.exec(`INSERT INTO diagnoses (handshake, case_id, confidence, at) VALUES (?, ?, ?, ?)
			ON CONFLICT DO NOTHING`, h.ID, safetext.Truncate(d.Case, maxName), d.Confidence, milli(h.At))
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
		ON CONFLICT DO UPDATE SET seen = max(seen, excluded.seen),`+addCounts+` RETURNING id`,
		append(counts, network(h.Network), h.EHLO, h.Fingerprint, milli(h.At))...)
	if err == nil {
		s.days.add(h, sender, returned)
	}
	return sender, err
}

const addCounts = ` full = full + excluded.full, resumed = resumed + excluded.resumed,
	failed = failed + excluded.failed, plaintext = plaintext + excluded.plaintext,
	returned = returned + excluded.returned, last = excluded.last`

// dayOf returns the day in UTC of t, in days since 1970.
func dayOf(t time.Time) int64 { return milli(t) / millisOfDay }

const millisOfDay = 24 * 60 * 60 * 1000

// Handshakes returns those that f lets through, the newest first unless f.After is set,
// without their transcripts.
func (r *Reader) Handshakes(ctx context.Context, f Filter) ([]Handshake, error) {
	return readAll(ctx, r, "reading handshakes", func(ctx context.Context, db *sql.DB, q *query) error {
		q.add(`WITH chosen AS (`)
		err := f.choose(ctx, db, q)
		q.add(`LIMIT ?)`, f.limit())
		q.add(lines)
		if f.After > 0 {
			q.add(`ORDER BY h.id`)
		} else {
			q.add(`ORDER BY h.at DESC, h.id DESC`)
		}
		return err
	}, scanLine)
}

// lines reads the handshakes whose numbers chosen has.
const lines = `SELECT h.id, h.session, h.at, h.address, s.network, s.ehlo, s.fingerprint,
		h.outcome, h.mode, h.version, h.suite, h."group",
		coalesce(a.session, ''), coalesce(f.stopped, ''), coalesce(f.next, ''),
		CASE h.outcome WHEN 3 THEN (SELECT json_group_array(json_object('Case', case_id, 'Confidence', confidence))
			FROM (SELECT * FROM diagnoses WHERE handshake = h.id AND case_id <> 'unknown' ORDER BY confidence DESC))
		ELSE 'null' END
	FROM chosen JOIN handshakes AS h USING (id) JOIN senders AS s ON s.id = h.sender
	LEFT JOIN handshakes AS a ON a.id = h.after
	LEFT JOIN failures AS f ON f.handshake = h.id`

func scanLine(scan scanner) (h Handshake, err error) {
	var diagnoses []byte
	err = scan(&h.ID, &h.Session, millis{&h.At}, address{&h.Address}, prefix{&h.Network}, &h.EHLO, &h.Fingerprint,
		&h.Outcome, modeColumn{&h.Mode}, &h.Version, &h.Suite, &h.Group,
		&h.After, &h.Stopped, &h.Next, &diagnoses)
	if err == nil {
		err = json.Unmarshal(diagnoses, &h.Diagnoses)
	}
	return h, err
}

// Handshake returns the newest handshake of a session, with its transcript. The error wraps
// [fs.ErrNotExist] where there is none.
func (r *Reader) Handshake(ctx context.Context, session string) (Handshake, error) {
	var h Handshake
	err := r.read(fmt.Sprintf("reading session %q", session), func(db *sql.DB) error {
		var err error
		h, err = handshakeOf(ctx, db, session)
		return err
	})
	return h, err
}

func handshakeOf(ctx context.Context, db *sql.DB, session string) (h Handshake, err error) {
	q := &query{}
	q.add(`WITH chosen AS (SELECT id FROM handshakes WHERE session = ? ORDER BY id DESC LIMIT 1)`, session)
	q.add(lines)
	found, err := rows(ctx, db, q, scanLine)
	if err != nil {
		return h, err
	}
	if len(found) == 0 {
		return h, fmt.Errorf("none of its handshakes is kept: %w", fs.ErrNotExist)
	}
	h = found[0]
	h.Transcript, err = transcriptOf(ctx, db, h.ID)
	return h, err
}

func transcriptOf(ctx context.Context, db *sql.DB, id int64) ([]byte, error) {
	var packed []byte
	err := db.QueryRowContext(ctx, `SELECT transcript FROM failures WHERE handshake = ?`, id).Scan(&packed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return unpack(packed, maxTranscript)
}

// pack compresses a transcript. It returns nil for none and for one that is too large.
func (s *store) pack(transcript []byte) ([]byte, error) {
	if len(transcript) == 0 || len(transcript) > maxTranscript {
		return nil, nil
	}
	return compress(s.gzip, transcript)
}

// compress uses z for all, since one is large.
func compress(z *gzip.Writer, data []byte) ([]byte, error) {
	var packed bytes.Buffer
	z.Reset(&packed)
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	err := z.Close()
	return packed.Bytes(), err
}

// unpack undoes compress, for at most limit bytes.
func unpack(packed []byte, limit int64) ([]byte, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, limit))
}
