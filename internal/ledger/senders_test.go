package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"postern/handshake"

	"pgregory.net/rapid"
)

// span is the number of days of the events below.
const span = 3 * 7

// someHour draws an hour of them.
func someHour(t *rapid.T, what string) time.Time {
	return noon.Add(time.Duration(rapid.IntRange(0, span*24).Draw(t, what)) * time.Hour)
}

// anyHandshake draws a handshake of few senders.
func anyHandshake(t *rapid.T) event {
	h := success("")
	h.Outcome = Outcome(rapid.IntRange(int(Full), int(Plaintext)).Draw(t, "outcome"))
	h.At = someHour(t, "at")
	if rapid.Bool().Draw(t, "diagnosed") {
		h.Diagnoses = []Diagnosis{{"scanner", 0.2, nil}, {"early-ticket", rapid.SampledFrom([]float64{0.1, 0.9}).Draw(t, "confidence"), nil}}
	}
	h.EHLO = fmt.Sprint("mail", rapid.IntRange(0, 4).Draw(t, "sender"))
	if h.EHLO == "mail4" {
		h.Network = netip.MustParsePrefix("2001:db8::/48")
	}
	h.Transcript = make([]byte, rapid.IntRange(0, 1).Draw(t, "transcript"))
	h.Suite = handshake.Suite(rapid.Uint16Range(0x1301, 0x1302).Draw(t, "suite"))
	return h
}

// drawn is a ledger with events from rapid.
type drawn struct {
	t *rapid.T
	*store
	reader *Reader
}

// writeOld creates a ledger with the first migrations only, and calls write. Today's writer
// uses columns of later ones: the old file has them during that call.
func writeOld(path string, known int, write func(*store) error) error {
	if err := copyEmpty(path, known); err != nil {
		return err
	}
	db, err := connect(path, forWriting())
	if err != nil {
		return err
	}
	s := &store{path: path, db: db, prepared: make(map[string]*sql.Stmt), gzip: fastGzip()}
	defer s.close()
	if s.conn, err = db.Conn(context.Background()); err != nil {
		return err
	}
	var before, after []string
	if known < unusedIn {
		before = append(before, `ALTER TABLE handshakes ADD COLUMN unused INTEGER NOT NULL DEFAULT 0`)
		after = append(after, `ALTER TABLE handshakes DROP COLUMN unused`)
	}
	if known < modeIn {
		before = append(before, `ALTER TABLE handshakes RENAME COLUMN rung TO mode`)
		after = append(after, `ALTER TABLE handshakes RENAME COLUMN mode TO rung`)
	}
	if known < probeIn {
		before = append(before, `ALTER TABLE handshakes ADD COLUMN probe INTEGER NOT NULL DEFAULT 0`)
		after = append(after, `ALTER TABLE handshakes DROP COLUMN probe`)
	}
	if known < evidenceIn {
		before = append(before, `ALTER TABLE diagnoses ADD COLUMN evidence TEXT NOT NULL DEFAULT '[]'`)
		after = append(after, `ALTER TABLE diagnoses DROP COLUMN evidence`)
	}
	if known < periodsIn {
		before = append(before, `CREATE TABLE periods (minutes, number, kind, case_id, count, last, host, PRIMARY KEY (minutes, number, kind, case_id))`)
		after = append(after, `DROP TABLE periods`)
	}
	switch {
	case known < networksIn:
		before = append(before, `CREATE TABLE networks (id, network, host, sessions, failed, transcripts, senders)`)
		after = append(after, `DROP TABLE networks`)
	case known < networkIDIn:
		before = append(before, `ALTER TABLE networks ADD COLUMN id INTEGER AS (0) VIRTUAL`)
		after = append(after, `ALTER TABLE networks DROP COLUMN id`)
	}
	if known < networkIDIn {
		before = append(before, `ALTER TABLE handshakes ADD COLUMN network_id INTEGER`)
		after = append(after, `ALTER TABLE handshakes DROP COLUMN network_id`)
	}
	if known < failingIn {
		for _, column := range []string{"name", "worked", "delivered", "failing", "failing_since", "failing_last"} {
			before = append(before, `ALTER TABLE senders ADD COLUMN `+column+` NOT NULL DEFAULT 0`)
			after = append(after, `ALTER TABLE senders DROP COLUMN `+column)
		}
	}
	if known < organizationIn {
		before = append(before, `ALTER TABLE senders ADD COLUMN organization NOT NULL DEFAULT ''`)
		after = append(after, `ALTER TABLE senders DROP COLUMN organization`)
	}
	if known < completedIn {
		before = append(before, `CREATE TABLE completed (network, ehlo, fingerprint, at, handshake, transcript, host, PRIMARY KEY (network, ehlo, fingerprint))`)
		after = append(after, `DROP TABLE completed`)
	}
	if known < hostsIn {
		for table, since := range map[string]int{"senders": 1, "networks": networksIn, "periods": periodsIn, "completed": completedIn} {
			if known >= since {
				host := `host INTEGER NOT NULL DEFAULT 0`
				if table == "networks" {
					host = `host INTEGER AS (0) VIRTUAL` // triggers name no columns
				}
				before = append(before, `ALTER TABLE `+table+` ADD COLUMN `+host)
				after = append(after, `ALTER TABLE `+table+` DROP COLUMN host`)
			}
		}
	}
	if err := s.each(before); err != nil {
		return err
	}
	if err := write(s); err != nil {
		return err
	}
	return s.each(after)
}

// The migrations that add the columns unused, probe, evidence, failing, network of handshakes, and
// hosts, and the tables networks, periods and completed, and rename mode.
const (
	unusedIn       = 4
	modeIn         = 6
	probeIn        = 8
	evidenceIn     = 10
	networksIn     = 12
	periodsIn      = 14
	failingIn      = 15
	networkIDIn    = 16
	organizationIn = 17
	completedIn    = 20
	hostsIn        = 21
)

// each runs the statements in order.
func (s *store) each(statements []string) error {
	for _, statement := range statements {
		if err := s.exec(statement); err != nil {
			return err
		}
	}
	return nil
}

func (d *drawn) note(what string) {
	if err := d.write(rapid.SliceOfN(rapid.Custom(anyHandshake), 1, 30).Draw(d.t, what)); err != nil {
		d.t.Fatal(err)
	}
}

// expectHoldings compares what networks have with the rows.
func (d *drawn) expectHoldings() {
	const rowsOfNetworks = `SELECT network, count(h.id), total(h.outcome = 3), total(length(transcript)), count(DISTINCT s.id)
		FROM senders AS s LEFT JOIN handshakes AS h ON h.sender = s.id LEFT JOIN failures AS f ON f.handshake = h.id GROUP BY network`
	wrong, err := d.number(`SELECT count(*) FROM (SELECT * FROM (` + rowsOfNetworks + `) EXCEPT SELECT network, sessions, failed, transcripts, senders FROM networks)`)
	more, again := d.number(`SELECT (SELECT count(*) FROM networks) - (SELECT count(DISTINCT network) FROM senders)`)
	if wrong != 0 || more != 0 || err != nil || again != nil {
		d.t.Fatalf("what %d networks have is wrong, %d more than there are, %v %v", wrong, more, err, again)
	}
}

func (d *drawn) forgetBefore(horizon time.Time, last int64) {
	if err := d.forget(horizon, last); err != nil {
		d.t.Fatal(err)
	}
}

const (
	rowsOfHandshakes = `SELECT ehlo, sum(outcome = 1), sum(outcome = 2), sum(outcome = 3), sum(outcome = 4), count(after)
		FROM handshakes AS h JOIN senders AS s ON s.id = h.sender WHERE at / 86400000 BETWEEN ? AND ? GROUP BY s.id`
	rowsOfDays = `SELECT ehlo, sum(d.full), sum(d.resumed), sum(d.failed), sum(d.plaintext), sum(d.returned)
		FROM days AS d JOIN senders AS s ON s.id = d.sender WHERE day BETWEEN ? AND ? GROUP BY s.id`
)

// expectPeriods compares what happened in periods from a day on with the rows.
func (d *drawn) expectPeriods(from int64) {
	length := rapid.SampledFrom([]time.Duration{ShortPeriod, 3 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}).Draw(d.t, "length")
	begin := time.UnixMilli(from * millisOfDay).UTC().Truncate(24 * time.Hour)
	if length > 24*time.Hour { // such a period may have begun earlier
		from = (from*millisOfDay/length.Milliseconds() + 1) * length.Milliseconds() / millisOfDay
		begin = time.UnixMilli(from * millisOfDay).UTC()
	}
	found, err := d.reader.Periods(context.Background(), Span{From: begin}, length)
	if err != nil {
		d.t.Fatal(err)
	}
	got := make(map[string]int64)
	note := func(p Period, what string, n int64) {
		if n != 0 {
			got[fmt.Sprint(p.Start.UnixMilli(), " ", what)] += n
		}
	}
	for _, p := range found {
		note(p, "full", p.Full)
		note(p, "resumed", p.Resumed)
		note(p, "plaintext", p.Plaintext)
		for id, n := range p.Failed {
			note(p, id, n)
		}
	}
	q := &query{}
	q.add(`SELECT (at / ?1 * ?1) || ' ' || CASE outcome WHEN 1 THEN 'full' WHEN 2 THEN 'resumed' WHEN 4 THEN 'plaintext'
			ELSE (SELECT case_id FROM diagnoses WHERE handshake = h.id ORDER BY confidence DESC LIMIT 1) END, count(*)
		FROM handshakes AS h WHERE at >= ?2 GROUP BY 1`, length.Milliseconds(), begin.UnixMilli())
	want := make(map[string]int64)
	_, err = rows(context.Background(), d.conn, q, func(scan scanner) (key string, err error) {
		var n int64
		err = scan(&key, &n)
		want[key] = n
		return key, err
	})
	if err != nil || !maps.Equal(got, want) {
		d.t.Fatalf("by %v from day %d: %v, want %v; %v", length, from, got, want, err)
	}
}

// expectCounts compares the counts of senders in some days, no earlier than from, with those of
// a query over the rows.
func (d *drawn) expectCounts(text string, from int64) {
	first := from + rapid.Int64Range(0, span+1).Draw(d.t, "first")
	d.expect(Filter{Since: time.UnixMilli(first * millisOfDay)}, d.counts(text, first, math.MaxInt64))
	last := first + rapid.Int64Range(0, span+1).Draw(d.t, "days")
	until := time.UnixMilli((last + 1) * millisOfDay)
	d.expect(Filter{Since: time.UnixMilli(first * millisOfDay), Until: until}, d.counts(text, first, last))
}

func (d *drawn) expect(f Filter, want map[string]Counts) {
	found, err := d.reader.Senders(context.Background(), f)
	if err != nil {
		d.t.Fatal(err)
	}
	got := make(map[string]Counts)
	for _, s := range found {
		if s.Counts != (Counts{}) { // one may be remembered longer than its sessions
			got[s.EHLO] = s.Counts
		}
	}
	if !maps.Equal(got, want) {
		d.t.Fatalf("since %v until %v: %v, want %v", f.Since, f.Until, got, want)
	}
}

func (d *drawn) counts(text string, first, last int64) map[string]Counts {
	q := &query{}
	q.add(text, first, last)
	counts := make(map[string]Counts)
	_, err := rows(context.Background(), d.conn, q, func(scan scanner) (ehlo string, err error) {
		var c Counts
		err = scan(append([]any{&ehlo}, c.columns()...)...)
		counts[ehlo] = c
		return ehlo, err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return counts
}

// The counts since any day are those of the rows, whichever schema the file had and whatever
// was deleted.
func TestSendersAreCountedExactlySinceAnyDay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		d := &drawn{t: t}
		made := len(migrations())
		if rapid.SampledFrom([]bool{false, false, false, true}).Draw(t, "by an older version") { // which costs the most
			made = rapid.IntRange(1, len(migrations())).Draw(t, "made by migration")
		}
		err := writeOld(path, made, func(old *store) error {
			d.store = old
			d.note("first")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if d.store, _, err = openStore(path, migrations()); err != nil {
			t.Fatal(err)
		}
		defer d.close()
		if d.reader, err = OpenReader(path); err != nil {
			t.Fatal(err)
		}
		defer d.reader.Close()
		d.note("second")
		d.expectCounts(rowsOfHandshakes, dayOf(noon))

		horizon := someHour(t, "horizon")
		d.forgetBefore(horizon, 0)
		d.note("third") // of senders that were forgotten, too
		d.forgetBefore(horizon, 0)
		d.expectCounts(rowsOfHandshakes, dayOf(horizon)+1) // its own day is counted as a whole

		d.expectHoldings()
		d.expectPeriods(dayOf(horizon) + 1)

		d.forgetBefore(time.Time{}, rapid.Int64Range(1, d.last).Draw(t, "last"))
		d.expectCounts(rowsOfDays, dayOf(noon))
		d.expect(Filter{}, d.counts(rowsOfDays, 0, math.MaxInt64))

		_, err = d.cutNetworks(rapid.Int64Range(1, 20_000).Draw(t, "cut"))
		if err != nil {
			t.Fatal(err)
		}
		d.expectHoldings()
		d.expect(Filter{}, d.counts(rowsOfDays, 0, math.MaxInt64))
	})
}

func TestLedgerOfTheFirstSchemaIsMigrated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	err := writeOld(path, 1, func(old *store) error { return old.write([]event{failure("A")}) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReader(path); !errors.Is(err, ErrOlder) {
		t.Errorf("OpenReader: %v, want ErrOlder", err)
	}
	s, from, err := openStore(path, migrations())
	if err != nil || from != 1 {
		t.Fatalf("migrated from %d, %v", from, err)
	}
	defer s.close()
	if err := s.write([]event{success("B")}); err != nil {
		t.Fatal(err)
	}
	found, err := reader(t, path).Senders(t.Context(), Filter{Since: noon.Add(-7 * day)})
	if err != nil || len(found) != 1 || found[0].Counts != (Counts{Full: 1, Failed: 1}) {
		t.Errorf("senders %+v, %v; want one with both sessions", found, err)
	}
}
