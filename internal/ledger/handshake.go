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
	"net/netip"
	"time"

	"postern/handshake"
	"postern/internal/safetext"
	"postern/sessionticket"
)

// An Outcome is the outcome of a session's handshake.
type Outcome int

// The outcomes. Their numbers are stored.
const (
	Full      Outcome = iota + 1 // a full handshake completed
	Resumed                      // a handshake completed that resumed a session
	Failed                       // the handshake failed, or the client could not use the connection
	Plaintext                    // there was no TLS, but mail
)

// String returns "full", "resumed", "failed" or "plaintext".
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

// A Handshake is a handshake, or a session without TLS. The fields from Stopped on are for
// failed handshakes only, except Transcript.
type Handshake struct {
	// ID numbers handshakes in the order in which they were stored, for [Filter.After].
	// It is set when reading.
	ID int64 `json:"-"`

	// Host is the host of a fleet at which it was; empty without a fleet. It is set when reading.
	Host string `json:"-"`

	Session     string             `json:"session"` // session id, as in replies and in the log
	At          time.Time          `json:"at"`      // stored to the millisecond
	Address     netip.Addr         `json:"address,omitzero"`
	Network     netip.Prefix       `json:"network"`         // see admission.Network
	EHLO        string             `json:"ehlo,omitempty"`  // empty if there was none
	Name        string             `json:"name,omitempty"`  // of Address by forward-confirmed reverse DNS; empty if it has none, or is not known yet
	Fingerprint string             `json:"ja4,omitempty"`   // JA4 of the ClientHello; empty if there was none
	Probe       bool               `json:"probe,omitempty"` // of the operator's own probe: no sender's, and not counted
	Outcome     Outcome            `json:"outcome"`
	Mode        sessionticket.Mode `json:"mode"` // without a meaning if there is no Fingerprint

	// What was negotiated; 0 if unknown.
	Version handshake.Version `json:"version,omitzero"`
	Suite   handshake.Suite   `json:"suite,omitzero"`
	Group   handshake.Group   `json:"group,omitzero"`

	// Unused says that the handshake completed and the client left in good order without
	// a command, as monitors do, and senders that check the certificate after the
	// handshake. It is not set when reading: see [Activity].
	Unused bool `json:"unused,omitempty"`

	// Delivered says that a message was accepted. It is not set when reading.
	Delivered bool `json:"delivered,omitempty"`

	// After is set when reading a session in plaintext: the session of the sender's failed
	// handshake in the week before. It is empty if there was none.
	After string `json:"after,omitempty"`

	Stopped   string      `json:"stopped,omitempty"`   // where the handshake stopped, in words
	Next      string      `json:"next,omitempty"`      // the sender's next mode and the reason, in words
	Diagnoses []Diagnosis `json:"diagnoses,omitempty"` // the most certain first; none if no case matches
	Revised   string      `json:"-"`                   // what was said before a [Revision]; set when reading

	// Transcript is the JSON of the handshake. It is not stored if it is larger than
	// 256 KiB, and lists of handshakes leave it out. Of those that completed, one is kept
	// of each sender: the last that has one; see [Reader.Completed].
	Transcript []byte `json:"-"`
}

// A Diagnosis is a case that a failed handshake matches.
type Diagnosis struct {
	Case       string  `json:"case"`
	Confidence float64 `json:"confidence"` // from 0 to 1

	// Evidence is what it rests on, in words. Rows of older versions have none.
	Evidence []string `json:"evidence,omitempty"`
}

// Case returns the id of the most certain case of a failed handshake, or [Unknown].
func (h Handshake) Case() string { return leading(h.Diagnoses) }

// Bounds of what is stored, in bytes. Except for transcripts they are far above what honest
// senders and this program write; Postfix truncates host names to 255 too.
const (
	maxName       = 255 // EHLO names, fingerprints, sessions, cases
	maxText       = 1024
	maxDiagnoses  = 8
	maxEvidence   = 8
	maxTranscript = 256 << 10
)

// eventSize is about the size of an event without its text.
const eventSize = 256

func (h Handshake) size() int {
	size := eventSize + len(h.Session) + len(h.EHLO) + len(h.Name) + len(h.Fingerprint) + len(h.Stopped) + len(h.Next) + len(h.Transcript)
	for _, d := range h.Diagnoses {
		size += len(d.Case)
		for _, text := range d.Evidence {
			size += len(text)
		}
	}
	return size
}

// returnTime is how long after a failed handshake mail in plaintext counts as its
// consequence. Senders give up after five days.
const returnTime = 7 * 24 * time.Hour

func (h Handshake) write(s *store) error {
	s.last++
	h.ID = s.last
	h.EHLO, h.Fingerprint, h.Name = safetext.Truncate(h.EHLO, maxName), safetext.Truncate(h.Fingerprint, maxName), safetext.Truncate(h.Name, maxName)
	after, err := h.after(s)
	if err != nil {
		return err
	}
	if err := s.record(handshakeRecord, recordOf(h)); err != nil {
		return err
	}
	sender, err := h.count(s, after.Valid)
	if err != nil {
		return err
	}
	err = s.exec(`INSERT INTO handshakes
		(id, at, sender, outcome, session, address, version, suite, "group", mode, after, unused, probe, network_id)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT id FROM networks WHERE network = ? AND host = ?))`,
		h.ID, unixMilli(h.At), sender, h.Outcome, safetext.Truncate(h.Session, maxName), addrBytes(h.Address),
		h.Version, h.Suite, h.Group, h.modeText(), after, h.Unused, h.Probe, prefixBytes(h.Network), s.host)
	if err != nil {
		return err
	}
	if s.host != here {
		if err := h.join(s, after); err != nil {
			return err
		}
	}
	var transcript []byte
	switch h.Outcome {
	case Failed:
		transcript, err = h.writeFailure(s)
	case Full, Resumed:
		err = h.writeCompleted(s)
	}
	s.networks.add(h, transcript)
	return err
}

func (h Handshake) modeText() string {
	if h.Fingerprint == "" {
		return ""
	}
	return h.Mode.String()
}

// after returns, for a session in plaintext, the last failed handshake of the same address,
// or of the same EHLO name in the same network. There is none if that sender has completed a
// handshake since: with the same name and the same fingerprint, or any if the failed
// handshake had none. A session in plaintext has no fingerprint to compare.
//
// The failed handshake can have been at any host of the fleet. Of those that it knows then, the host
// of the session in plaintext decides; the others take it from there.
func (h *Handshake) after(s *store) (id sql.NullInt64, err error) {
	if h.Outcome != Plaintext || h.Probe {
		return id, nil
	}
	if s.host != here {
		if h.After != "" {
			id.Valid = true
			id.Int64, err = s.number(`SELECT coalesce(max(id), 0) FROM handshakes WHERE session = ? AND outcome = 3`, h.After)
		}
		return id, err
	}
	// LIMIT, since a client can make up any number of fingerprints.
	n, err := s.number(`SELECT coalesce(max(id), 0) FROM (
		SELECT id FROM (SELECT id FROM handshakes
			WHERE outcome = 3 AND NOT probe AND address = ?1 AND at BETWEEN ?2 AND ?3 ORDER BY at DESC LIMIT 1)
		UNION ALL
		SELECT h.id FROM (SELECT id FROM senders WHERE network = ?4 AND ehlo = ?5 LIMIT 100) AS s
			JOIN handshakes AS h ON h.sender = s.id AND h.outcome = 3 AND NOT h.probe AND h.at BETWEEN ?2 AND ?3)`,
		addrBytes(h.Address), unixMilli(h.At.Add(-returnTime)), unixMilli(h.At), prefixBytes(h.Network), h.EHLO)
	if err != nil || n == 0 {
		return id, err
	}
	since, err := s.number(`SELECT EXISTS (SELECT 1 FROM handshakes AS failed JOIN senders AS f ON f.id = failed.sender
		CROSS JOIN handshakes AS h WHERE failed.id = ? AND h.id > failed.id AND h.at >= failed.at AND h.outcome IN (1, 2)
			AND h.sender IN (SELECT id FROM senders WHERE network = f.network AND ehlo = f.ehlo
				AND f.fingerprint IN ('', fingerprint) LIMIT 100))`, n)
	if err == nil && since == 0 {
		id = sql.NullInt64{Int64: n, Valid: true}
		err = s.text(&h.After, `SELECT session FROM handshakes WHERE id = ?`, n)
	}
	return id, err
}

// join joins a session in plaintext at another host with its failed handshake, whichever comes first.
func (h Handshake) join(s *store, after sql.NullInt64) error {
	switch {
	case after.Valid && after.Int64 == 0:
		return s.exec(`INSERT INTO awaited (handshake, session) VALUES (?, ?)`, h.ID, safetext.Truncate(h.After, maxName))
	case h.Outcome == Failed:
		err := s.exec(`UPDATE handshakes SET after = ? WHERE id IN (SELECT handshake FROM awaited WHERE session = ?)`, h.ID, h.Session)
		if err != nil {
			return err
		}
		return s.exec(`DELETE FROM awaited WHERE session = ?`, h.Session)
	}
	return nil
}

// writeFailure stores what only failed handshakes have. It returns the compressed transcript.
func (h Handshake) writeFailure(s *store) (transcript []byte, err error) {
	if transcript, err = s.pack(h.Transcript); err != nil {
		return nil, err
	}
	err = s.exec(`INSERT INTO failures (handshake, stopped, next, transcript) VALUES (?, ?, ?, ?)`,
		h.ID, safetext.Truncate(h.Stopped, maxText), safetext.Truncate(h.Next, maxText), transcript)
	if err != nil {
		return nil, err
	}
	return transcript, writeDiagnoses(s, h.ID, unixMilli(h.At), h.Diagnoses)
}

// writeDiagnoses stores the diagnoses of a handshake.
func writeDiagnoses(s *store, handshake, at int64, diagnoses []Diagnosis) error {
	if len(diagnoses) == 0 {
		diagnoses = []Diagnosis{{Case: Unknown}}
	}
	for _, d := range diagnoses[:min(len(diagnoses), maxDiagnoses)] {
		texts := make([]string, 0, len(d.Evidence))
		for _, text := range d.Evidence[:min(len(d.Evidence), maxEvidence)] {
			texts = append(texts, safetext.Truncate(text, maxText))
		}
		evidence, err := json.Marshal(texts)
		if err != nil {
			return err
		}
		err = s.exec(`INSERT INTO diagnoses (handshake, case_id, confidence, at, evidence) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO NOTHING`, handshake, safetext.Truncate(d.Case, maxName), d.Confidence, at, string(evidence))
		if err != nil {
			return err
		}
	}
	return nil
}

// count adds the handshake to the counts of its sender, of the day and of the period, unless it is
// a probe's. It returns the id of the sender.
func (h Handshake) count(s *store, returned bool) (sender int64, err error) {
	if sender, err = s.senders.add(s, h, returned); err == nil && !h.Probe {
		s.days.add(h, sender, allAt(s.host), returned)
		found := ""
		if h.Outcome == Failed {
			found = safetext.Truncate(leading(h.Diagnoses), maxName)
		}
		s.periods.add(unixMilli(h.At), h.Outcome, found, 1, h.ID)
	}
	return sender, err
}

const addCounts = ` full = full + excluded.full, resumed = resumed + excluded.resumed,
	failed = failed + excluded.failed, plaintext = plaintext + excluded.plaintext,
	returned = returned + excluded.returned, last = excluded.last`

// dayOf returns the day in UTC of t, in days since 1970.
func dayOf(t time.Time) int64 { return unixMilli(t) / millisOfDay }

const millisOfDay = 24 * 60 * 60 * 1000

// Handshakes returns the handshakes that match f, without their transcripts, the newest first
// unless f.After is set.
func (r *Reader) Handshakes(ctx context.Context, f Filter) ([]Handshake, error) {
	return readAll(ctx, r, "reading handshakes", func(ctx context.Context, db *sql.DB, q *query) error {
		q.add(`WITH chosen AS (`)
		err := f.choose(ctx, db, q)
		q.add(`LIMIT ?)`, f.limit())
		q.add(selectHandshakes)
		if f.After > 0 {
			q.add(`ORDER BY h.id`)
		} else {
			q.add(`ORDER BY h.at DESC, h.id DESC`)
		}
		return err
	}, scanHandshake)
}

// selectHandshakes reads the handshakes with the ids in the table chosen.
var selectHandshakes = `SELECT h.id, ` + hostOf("s.host") + `, h.session, h.at, h.address, s.network, s.ehlo, s.name, s.fingerprint,
		h.probe, h.outcome, h.mode, h.version, h.suite, h."group",
		coalesce(a.session, ''), coalesce(f.stopped, ''), coalesce(f.next, ''), coalesce(f.revised, ''),
		CASE h.outcome WHEN 3 THEN (SELECT json_group_array(json_object('case', case_id, 'confidence', confidence, 'evidence', json(evidence)))
			FROM (SELECT * FROM diagnoses WHERE handshake = h.id AND case_id <> 'unknown' ORDER BY confidence DESC, case_id))
		ELSE 'null' END
	FROM chosen JOIN handshakes AS h USING (id) JOIN senders AS s ON s.id = h.sender
	LEFT JOIN handshakes AS a ON a.id = h.after
	LEFT JOIN failures AS f ON f.handshake = h.id`

func scanHandshake(scan scanner) (h Handshake, err error) {
	var diagnoses []byte
	err = scan(&h.ID, &h.Host, &h.Session, timeInto(&h.At), addrInto(&h.Address), prefixInto(&h.Network), &h.EHLO, &h.Name, &h.Fingerprint,
		&h.Probe, &h.Outcome, modeInto(&h.Mode), &h.Version, &h.Suite, &h.Group,
		&h.After, &h.Stopped, &h.Next, &h.Revised, &diagnoses)
	if err == nil {
		err = json.Unmarshal(diagnoses, &h.Diagnoses)
	}
	return h, err
}

// Handshake returns the newest handshake of a session, with its transcript. The error wraps
// fs.ErrNotExist if there is none.
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
	q.add(selectHandshakes)
	if h, err = oneRow(ctx, db, q, "no handshake stored", scanHandshake); err != nil {
		return h, err
	}
	h.Transcript, err = transcriptOf(ctx, db, h)
	return h, err
}

func transcriptOf(ctx context.Context, db *sql.DB, h Handshake) ([]byte, error) {
	var packed []byte
	err := db.QueryRowContext(ctx, `SELECT transcript FROM failures WHERE handshake = ?1 UNION ALL
		SELECT transcript FROM completed WHERE network = ?2 AND ehlo = ?3 AND fingerprint = ?4 AND handshake = ?1`,
		h.ID, prefixBytes(h.Network), h.EHLO, h.Fingerprint).Scan(&packed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	transcript, err := unpack(packed, maxTranscript)
	return current(transcript), err
}

// current returns a transcript in the current version of the format. One that cannot be
// read stays as it is, for people to look at.
func current(transcript []byte) []byte {
	t, err := handshake.Parse(transcript)
	if err != nil {
		return transcript
	}
	if now, err := json.Marshal(t); err == nil {
		return now
	}
	return transcript
}

// pack compresses a transcript. It returns nil if it is empty or too large.
func (s *store) pack(transcript []byte) ([]byte, error) {
	if len(transcript) == 0 || len(transcript) > maxTranscript {
		return nil, nil
	}
	return compress(s.gzip, transcript)
}

// fastGzip returns a Writer for transcripts. A better compression would save a tenth of their
// size for several times the processor time, which strangers can make us spend.
func fastGzip() *gzip.Writer {
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // of an unknown level
	}
	return z
}

// compress compresses data with gzip. A Writer is large, so callers reuse theirs.
func compress(z *gzip.Writer, data []byte) ([]byte, error) {
	var packed bytes.Buffer
	z.Reset(&packed)
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	err := z.Close()
	return packed.Bytes(), err
}

// unpack decompresses at most limit bytes.
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
