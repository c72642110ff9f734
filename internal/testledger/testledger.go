// Package testledger fills ledgers for benchmarks. It writes SQL, since the ledger's own writer
// would take minutes for a million handshakes.
package testledger

import (
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// Days is the time in days over which the handshakes are spread.
const Days = 90

// perSender is how many handshakes each sender has.
const perSender = 500

// Fill adds handshakes to the new ledger at path: of the 90 days before end, 500 for each sender.
// One in 20 fails, with a transcript, which is compressed with gzip; one in 100 is in plaintext.
// A sender in 100 cannot deliver. There are 20 TLS reports a day, and 500 reasons for refusals.
func Fill(path string, handshakes int, end time.Time, transcript []byte) (err error) {
	name := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"mode": {"rw"}}.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer db.Close()
	do := func(statement string, args ...any) {
		if err == nil {
			if _, err = db.Exec(statement, args...); err != nil {
				err = fmt.Errorf("%w\n%s", err, statement)
			}
		}
	}
	begin, senders := end.AddDate(0, 0, -Days).UnixMilli(), max(1, handshakes/perSender)
	// Without a journal, and in memory as far as it goes: a ledger that is not complete is of no use.
	do(`PRAGMA journal_mode = OFF`)
	do(`PRAGMA synchronous = OFF`)
	do(`PRAGMA cache_size = -1048576`) // KiB
	do(`PRAGMA temp_store = MEMORY`)
	do(`BEGIN`)
	// Made at the end, the indexes of handshakes are sorted once.
	indexes, err := texts(db, err, `SELECT name || ' ' || sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'handshakes' AND sql IS NOT NULL`)
	for _, index := range indexes {
		name, _, _ := strings.Cut(index, " ")
		do(`DROP INDEX ` + name)
	}
	trigger, err := texts(db, err, `SELECT sql FROM sqlite_master WHERE name = 'day_begun'`)
	do(`DROP TRIGGER day_begun`)
	do(`WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < ?)
		INSERT INTO senders (id, network, ehlo, fingerprint, first, seen, last, name, organization)
		SELECT i, unhex(printf('0a%02x%02x0018', i >> 8 & 255, i & 255)), 'mail.sender' || i || '.example',
			't13d1516h2_8daaf6152771_' || printf('%012x', i % 50), ?, 0, ?,
			iif(i % 4, 'mail.sender' || i || '.example', ''), 'sender' || i || '.example' FROM s`, senders, begin, handshakes)
	do(`WITH RECURSIVE h (i, chance) AS (SELECT 1, 50 UNION ALL SELECT i + 1, abs(random()) % 100 FROM h WHERE i < ?1)
		INSERT INTO handshakes (id, at, sender, outcome, session, address, version, suite, "group", mode, network_id)
		SELECT i, ?2 + i * (?3 / ?1), 1 + i * 2654435761 % ?4, iif(chance = 0, 4, iif(chance < 6, 3, iif(chance < 40, 1, 2))), i,
			unhex(printf('0a%02x%02x%02x', (1 + i * 2654435761 % ?4) >> 8 & 255, (1 + i * 2654435761 % ?4) & 255, i % 256)),
			iif(chance < 6, 0, 772), iif(chance < 6, 0, 4865), iif(chance < 6, 0, 29), 'own-write', 1 + i * 2654435761 % ?4 FROM h`,
		handshakes, begin, Days*24*time.Hour.Milliseconds(), senders)
	for _, index := range indexes {
		_, statement, _ := strings.Cut(index, " ")
		do(statement)
	}
	do(`INSERT INTO failures (handshake, stopped, next, transcript)
		SELECT id, 'closed silently after the flight', 'mode own-write again', ? FROM handshakes WHERE outcome = 3`, transcript)
	do(`INSERT INTO diagnoses (handshake, case_id, confidence, at) SELECT id, 'case-' || (id % 16), 0.9, at FROM handshakes WHERE outcome = 3`)
	const counts = `sum(outcome = 1), sum(outcome = 2), sum(outcome = 3), sum(outcome = 4), 0`
	const sums = `sum(full), sum(resumed), sum(failed), sum(plaintext), sum(returned)`
	do(`INSERT INTO days SELECT at / 86400000, sender, version, suite, "group", ` + counts + `, max(id) FROM handshakes GROUP BY 1, 2, 3, 4, 5`)
	do(`INSERT INTO days SELECT day, 0, version, suite, "group", ` + sums + `, max(last) FROM days GROUP BY 1, 2, 3, 4, 5`)
	do(`INSERT INTO weeks SELECT day / 7, sender, ` + sums + ` FROM days WHERE sender <> 0 GROUP BY 1, 2`)
	do(`UPDATE senders SET (full, resumed, failed, plaintext) = (SELECT sum(full), sum(resumed), sum(failed), sum(plaintext) FROM weeks WHERE sender = senders.id)`)
	do(`UPDATE senders SET seen = ?1, worked = ?1, delivered = ?1`, end.UnixMilli())
	do(`UPDATE senders SET worked = ?1, delivered = ?1, failing = 20, failing_since = ?1, failing_last = ?2 WHERE id % 100 = 1`,
		end.AddDate(0, 0, -1).UnixMilli(), end.UnixMilli())
	do(`INSERT INTO periods (minutes, number, kind, case_id, count, last) SELECT 30, at / 1800000, outcome, iif(outcome = 3, 'case-' || (id % 16), ''), count(*), max(id) FROM handshakes GROUP BY 2, 3, 4`)
	do(`INSERT INTO periods (minutes, number, kind, case_id, count, last) SELECT 1440, number / 48, kind, case_id, sum(count), max(last) FROM periods GROUP BY 2, 3, 4`)
	do(`WITH RECURSIVE r (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM r WHERE i < ?1)
		INSERT INTO reports (hash, at, last, via, session, verified, signer, verdict, submitter, organization, report, "from", "to",
			successful, failed, domains, warnings, content, size)
		SELECT CAST(i AS BLOB), ?2 + i / 20 * 86400000 + 90000000, ?3, 'mail', '', i % 2, 'sender' || (i % 20) || '.example', 'signed',
			'sender' || (i % 20) || '.example', 'Sender', i, ?2 + i / 20 * 86400000, ?2 + (i / 20 + 1) * 86400000 - 1000, 100, i % 7,
			'["ours.example"]', '[]', x'', 256 FROM r`, 20*(Days-2), begin, handshakes)
	do(`WITH RECURSIVE r (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM r WHERE i < 500)
		INSERT INTO refusals (day, network, ehlo, command, "from", "to", reply, remote, first, seen, count, session, last)
		SELECT ?1 / 86400000 - i % 90, unhex(printf('0a00%02x0018', i & 255)), 'mail.sender' || i || '.example', 'RCPT', 'sender.example', 'ours.example',
			'550 5.1.1 no such user ' || i, 0, ?1 - i % 90 * 86400000, ?1 - i % 90 * 86400000, 3, i, ?2 FROM r`, end.UnixMilli()-1000, handshakes)
	for _, statement := range trigger {
		do(statement)
	}
	do(`COMMIT`)
	do(`PRAGMA journal_mode = WAL`)
	return err
}

// texts returns what a query of one column finds, unless there was an error before.
func texts(db *sql.DB, before error, query string) (all []string, err error) {
	if before != nil {
		return nil, before
	}
	found, err := db.Query(query)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		var text string
		if err := found.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, found.Err()
}
