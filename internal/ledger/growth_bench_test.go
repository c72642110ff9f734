package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"postern/internal/testcpu"
	"postern/internal/testledger"
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
					used := testcpu.Used(b)
					for b.Loop() {
						found, err := q.ask(r)
						if err != nil {
							b.Fatal(err)
						}
						b.ReportMetric(float64(found), "rows")
					}
					b.ReportMetric((testcpu.Used(b)-used).Seconds()*1000/float64(b.N), "cpu-ms/query")
				})
			}
		})
	}
}

// What fills the large ledgers of benchmarks, which no other test does, knows the present schema.
func TestLedgersOfBenchmarksAreFilled(t *testing.T) {
	if found, err := senders(Filter{})(grown(t, 1000)); err != nil || found != 2 {
		t.Errorf("%d senders, %v; want 2", found, err)
	}
}

// grown returns a ledger with so many handshakes.
func grown(b testing.TB, n int) *Reader {
	b.Helper()
	path := empty(b)
	transcript, err := compress(fastGzip(), transcriptLike(rand.New(rand.NewPCG(1, 2))))
	if err == nil {
		err = testledger.Fill(path, n, time.Now(), transcript)
	}
	if err != nil {
		b.Fatal(err)
	}
	return reader(b, path)
}
