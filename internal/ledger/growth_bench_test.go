package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkGrowth asks what the commands ask by default, of ledgers with n and 4n handshakes of
// manyDays: 500 for each sender. One in 20 fails, with a small transcript; one in 100 is in
// plaintext.
func BenchmarkGrowth(b *testing.B) {
	n := 2_500_000
	if testing.Short() {
		n = 25_000
	}
	for _, rows := range []int{n, 4 * n} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			r := grown(b, rows)
			week := time.Now().Add(-7 * 24 * time.Hour)
			for _, q := range []struct {
				name string
				ask  func(*Reader) (int, error)
			}{
				{"handshakes", handshakes(Filter{Since: time.Now().Add(-24 * time.Hour)})},
				{"handshakes --failed", handshakes(Filter{Since: time.Now().Add(-24 * time.Hour), Failed: true})},
				{"handshakes --case", handshakes(Filter{Since: week, Case: "case-7"})},
				{"handshakes --sender=NETWORK", handshakes(Filter{Since: week, Sender: "10.0.7.0/24"})},
				{"handshakes --sender=NAME", handshakes(Filter{Since: week, Sender: "sender47."})},
				{"handshakes show", func(r *Reader) (int, error) {
					_, err := r.Handshake(context.Background(), "1234")
					return 1, err
				}},
				{"senders", senders(Filter{Since: week})},
				{"senders --failed", senders(Filter{Since: week, Failed: true})},
				{"senders --since=30d", senders(Filter{Since: time.Now().Add(-30 * 24 * time.Hour)})},
				{"senders --since=90d", senders(Filter{Since: time.Now().Add(-90 * 24 * time.Hour)})},
				{"senders show", senders(Filter{Since: week, Sender: "10.0.7.3"})},
			} {
				b.Run(strings.ReplaceAll(q.name, " ", "_"), func(b *testing.B) {
					used := processorTime(b)
					for b.Loop() {
						found, err := q.ask(r)
						if err != nil {
							b.Fatal(err)
						}
						b.ReportMetric(float64(found), "rows")
					}
					b.ReportMetric((processorTime(b)-used).Seconds()*1000/float64(b.N), "cpu-ms/query")
				})
			}
		})
	}
}

// grown returns a ledger with so many handshakes, written by SQL: the writer would take minutes.
func grown(b *testing.B, n int) *Reader {
	b.Helper()
	path := filepath.Join(b.TempDir(), "ledger")
	s, _, err := openStore(path, migrations())
	if err != nil {
		b.Fatal(err)
	}
	defer s.close()
	begin := unixMilli(time.Now().Add(-manyDays * 24 * time.Hour))
	do := func(statement string, args ...any) {
		b.Helper()
		if _, err := s.conn.ExecContext(context.Background(), statement, args...); err != nil {
			b.Fatalf("%v\n%s", err, statement)
		}
	}
	do(`PRAGMA synchronous = OFF`)
	do(`BEGIN`)
	var indexes []string // of handshakes: made at the end, they are sorted once
	q := &query{}
	q.add(`SELECT name || ' ' || sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'handshakes' AND sql IS NOT NULL`)
	indexes, err = rows(context.Background(), s.conn, q, func(scan scanner) (text string, err error) {
		err = scan(&text)
		return text, err
	})
	if err != nil {
		b.Fatal(err)
	}
	for i, index := range indexes {
		name, statement, _ := strings.Cut(index, " ")
		do(`DROP INDEX ` + name)
		indexes[i] = statement
	}
	do(`DROP TRIGGER day_begun`)
	do(`WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < ?)
		INSERT INTO senders (id, network, ehlo, fingerprint, first, seen, last)
		SELECT i, unhex(printf('0a%02x%02x0018', i >> 8, i & 255)), 'mail.sender' || i || '.example',
			't13d1516h2_8daaf6152771_' || printf('%012x', i % 50), ?, 0, ? FROM s`, n/500, begin, n)
	do(`WITH RECURSIVE h (i, chance) AS (SELECT 1, 50 UNION ALL SELECT i + 1, abs(random()) % 100 FROM h WHERE i < ?1)
		INSERT INTO handshakes (id, at, sender, outcome, session, address, version, suite, "group", mode)
		SELECT i, ?2 + i * (?3 / ?1), 1 + i * 2654435761 % ?4, iif(chance = 0, 4, iif(chance < 6, 3, iif(chance < 40, 1, 2))), i,
			unhex(printf('0a%02x%02x%02x', (1 + i * 2654435761 % ?4) >> 8, (1 + i * 2654435761 % ?4) & 255, i % 256)),
			iif(chance < 6, 0, 772), iif(chance < 6, 0, 4865), iif(chance < 6, 0, 29), 'own-write' FROM h`,
		n, begin, (manyDays * 24 * time.Hour).Milliseconds(), n/500)
	for _, index := range indexes {
		do(index)
	}
	transcript, err := compress(fastGzip(), transcriptLike(rand.New(rand.NewPCG(1, 2))))
	if err != nil {
		b.Fatal(err)
	}
	do(`INSERT INTO failures (handshake, stopped, next, transcript)
		SELECT id, 'closed silently after the flight', 'mode own-write again', ? FROM handshakes WHERE outcome = 3`, transcript)
	do(`INSERT INTO diagnoses (handshake, case_id, confidence, at) SELECT id, 'case-' || (abs(random()) % 16), 0.9, at FROM handshakes WHERE outcome = 3`)
	const counts = `sum(outcome = 1), sum(outcome = 2), sum(outcome = 3), sum(outcome = 4), 0`
	do(`INSERT INTO days SELECT at / 86400000, sender, version, suite, "group", ` + counts + `, max(id) FROM handshakes GROUP BY 1, 2, 3, 4, 5`)
	do(`INSERT INTO days SELECT day, 0, version, suite, "group", ` + sums + `, max(last) FROM days GROUP BY 1, 2, 3, 4, 5`)
	do(`INSERT INTO weeks SELECT day / 7, sender, ` + sums + ` FROM days WHERE sender <> 0 GROUP BY 1, 2`)
	do(`UPDATE senders SET (full, resumed, failed, plaintext) = (SELECT full, resumed, failed, plaintext
		FROM (SELECT sender, ` + sums + ` FROM weeks GROUP BY sender) WHERE sender = senders.id)`)
	do(`COMMIT`)
	r, err := OpenReader(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close() })
	return r
}
