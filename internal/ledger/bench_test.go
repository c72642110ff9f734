package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"postern/internal/testcpu"
	"postern/sessionticket"
)

// The ledger of the benchmarks: a million handshakes of 10,000 senders in 90 days, spread
// evenly, which is the worst case for counts by sender and day. One in 20 fails, with a
// transcript of the usual size; one in 100 is in plaintext.
const (
	million     = 1_000_000
	manySenders = 10_000
	manyDays    = 90
)

// invented returns the i-th handshake of the benchmarks.
func invented(i int, random *rand.Rand, begin time.Time) Handshake {
	who := random.IntN(manySenders)
	addr := netip.AddrFrom4([4]byte{10, byte(who >> 8), byte(who), byte(random.IntN(256))})
	h := Handshake{
		Session:     fmt.Sprintf("%010d", i),
		At:          begin.Add(time.Duration(i) * (manyDays * 24 * time.Hour / million)),
		Address:     addr,
		Network:     netip.PrefixFrom(addr, 24).Masked(),
		EHLO:        fmt.Sprintf("mail%d.sender%d.example", who%7, who),
		Fingerprint: fmt.Sprintf("t13d%04dh2_8daaf6152771_%012x", who%50, who%50),
		Mode:        sessionticket.FirstWrite,
		Version:     0x0304, Suite: 0x1301, Group: 29,
		Outcome: Resumed,
	}
	switch chance := random.IntN(100); {
	case chance == 0:
		h.Outcome, h.Version, h.Suite, h.Group, h.Fingerprint = Plaintext, 0, 0, 0, ""
	case chance < 6:
		h.Outcome, h.Version, h.Suite, h.Group = Failed, 0, 0, 0
		h.Stopped, h.Next = "the client closed silently after the server's flight", "own-write at its next attempt"
		h.Diagnoses = []Diagnosis{{Case: fmt.Sprintf("case-%d", random.IntN(16)), Confidence: 0.9}}
		h.Transcript = transcriptLike(random)
	case chance < 40:
		h.Outcome = Full
	}
	return h
}

// transcriptLike returns JSON of about the size and the variety of a transcript.
func transcriptLike(random *rand.Rand) []byte {
	text := []byte(`{"version":1,"hello":{"suites":[4865,4866,4867,49195,49199],"extensions":[0,11,10,35,22,23,13,43,45,51]},"messages":[`)
	for i := range 12 {
		text = fmt.Appendf(text, `{"from":"client","type":"Certificate","size":%d,"at":"%dµs","write":%d,"encrypted":true,"inferred":true},`,
			random.IntN(2000), random.IntN(100000), i)
	}
	return append(text[:len(text)-1], "]}"...)
}

func BenchmarkLedger(b *testing.B) {
	path := filepath.Join(b.TempDir(), "ledger")
	fill(b, path)
	r, err := OpenReader(path)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for _, q := range questions {
		b.Run(q.name, func(b *testing.B) {
			used := testcpu.Used(b)
			for b.Loop() {
				n, err := q.ask(r)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(n), "rows")
			}
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/query")
			b.ReportMetric((testcpu.Used(b)-used).Seconds()*1000/float64(b.N), "cpu-ms/query")
		})
	}
}

// fill writes the ledger, and logs the speed.
func fill(b *testing.B, path string) {
	b.Helper()
	s, _, err := openStore(path, migrations())
	if err != nil {
		b.Fatal(err)
	}
	defer s.close()
	random := rand.New(rand.NewPCG(1, 2))
	begin := time.Now().Add(-manyDays * 24 * time.Hour)
	start, used := time.Now(), testcpu.Used(b)
	for i := 0; i < million; {
		batch := make([]event, 0, maxBatch)
		for range maxBatch {
			batch = append(batch, invented(i, random, begin))
			i++
		}
		if err := s.write(batch); err != nil {
			b.Fatal(err)
		}
	}
	pages, err := s.number(`PRAGMA page_count`)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("wrote %d events: %.0f a second, %.0f µs of processor time each; %d MB on disk", million,
		million/time.Since(start).Seconds(), (testcpu.Used(b)-used).Seconds()*1e6/million, pages*pageSize/1e6)
}

// questions are the queries of the commands.
var questions = []struct {
	name string
	ask  func(*Reader) (int, error)
}{
	{"handshakes", handshakes(Filter{})},
	{"handshakes/day", handshakes(Filter{Since: time.Now().Add(-24 * time.Hour)})},
	{"handshakes/limit=10000", handshakes(Filter{Limit: maxLimit})},
	{"handshakes/failed", handshakes(Filter{Failed: true})},
	{"handshakes/returned", handshakes(Filter{Returned: true})},
	{"handshakes/case", handshakes(Filter{Case: "case-7"})},
	{"handshakes/case,sender", handshakes(Filter{Case: "case-7", Sender: "sender4711."})},
	{"handshakes/address", handshakes(Filter{Sender: "10.1.2.3"})},
	{"handshakes/prefix", handshakes(Filter{Sender: "10.1.2.0/24"})},
	{"handshakes/wide", handshakes(Filter{Sender: "10.0.0.0/8"})},
	{"handshakes/name", handshakes(Filter{Sender: "sender4711."})},
	{"handshakes/names", handshakes(Filter{Sender: "mail3"})},
	{"handshakes/nobody", handshakes(Filter{Sender: "nobody"})},
	{"handshakes/failed,name", handshakes(Filter{Sender: "sender4711.", Failed: true})},
	{"handshakes/failed,names", handshakes(Filter{Sender: "mail3", Failed: true})},
	{"handshakes/follow", handshakes(Filter{After: million - 50})},
	{"show", func(r *Reader) (int, error) {
		found, err := r.Handshakes(context.Background(), Filter{Failed: true, Limit: 1})
		if err == nil {
			_, err = r.Handshake(context.Background(), found[0].Session)
		}
		return 1, err
	}},
	{"show/healthy", func(r *Reader) (int, error) {
		_, err := r.Handshake(context.Background(), fmt.Sprintf("%010d", 5))
		return 1, err
	}},
	{"senders", senders(Filter{})},
	{"senders/day", senders(Filter{Since: time.Now().Add(-24 * time.Hour)})},
	{"senders/month", senders(Filter{Since: time.Now().Add(-30 * 24 * time.Hour)})},
	{"senders/half of what is kept", senders(Filter{Since: time.Now().Add(-manyDays / 2 * 24 * time.Hour)})},
	{"senders/two months", senders(Filter{Since: time.Now().Add(-60 * 24 * time.Hour)})},
	{"senders/names,month", senders(Filter{Sender: "mail3", Since: time.Now().Add(-30 * 24 * time.Hour)})},
	{"senders/returned", senders(Filter{Returned: true})},
	{"senders/name", senders(Filter{Sender: "sender4711."})},
	{"senders/address", senders(Filter{Sender: "10.1.2.3"})},
	{"days/name", days(Filter{Sender: "sender4711."})},
	{"days", days(Filter{})},
	{"sightings/name,day", activity(1, SenderQuery{Domains: []string{"sender4711.example"}})},
	{"sightings/names,day", activity(1, SenderQuery{Domains: []string{"sender1.example", "sender2.example", "sender3.example"}})},
	{"sightings/name,all", activity(manyDays, SenderQuery{Domains: []string{"sender4711.example"}})},
	{"sightings/addresses,day", activity(1, SenderQuery{Addresses: thousand()})},
	{"troubled/day", failing(1)},
	{"troubled/all", failing(manyDays)},
}

// lately returns the last n days.
func lately(n int) Span {
	return Span{From: time.Now().Add(-time.Duration(n) * 24 * time.Hour), To: time.Now()}
}

func activity(inDays int, whose SenderQuery) func(*Reader) (int, error) {
	return func(r *Reader) (int, error) {
		found, err := r.Activity(context.Background(), lately(inDays), whose)
		return len(found), err
	}
}

func failing(inDays int) func(*Reader) (int, error) {
	return func(r *Reader) (int, error) {
		found, err := r.FailingAddresses(context.Background(), lately(inDays), 64)
		return len(found), err
	}
}

// thousand returns more addresses than a query uses.
func thousand() (all []netip.Addr) {
	for i := range 1000 {
		all = append(all, netip.AddrFrom4([4]byte{10, 1, byte(i), byte(i >> 8)}))
	}
	return all
}

func handshakes(f Filter) func(*Reader) (int, error) {
	return func(r *Reader) (int, error) {
		found, err := r.Handshakes(context.Background(), f)
		return len(found), err
	}
}

func senders(f Filter) func(*Reader) (int, error) {
	return func(r *Reader) (int, error) {
		found, err := r.Senders(context.Background(), f)
		return len(found), err
	}
}

func days(f Filter) func(*Reader) (int, error) {
	return func(r *Reader) (int, error) {
		found, err := r.Days(context.Background(), f)
		return len(found), err
	}
}

// BenchmarkWrite writes a batch of a busy moment: 200 completed handshakes of few senders. In a fleet
// they are kept for the other hosts too.
func BenchmarkWrite(b *testing.B) {
	for name, host := range map[string]string{"alone": "", "fleet": "mx1"} {
		b.Run(name, func(b *testing.B) {
			s := newMember(b, empty(b), host)
			defer s.close()
			batch := busyMoment()
			used := testcpu.Used(b)
			for b.Loop() {
				if err := s.write(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((testcpu.Used(b)-used).Seconds()*1e6/float64(b.N*len(batch)), "cpu-µs/event")
			size, err := s.number(`SELECT coalesce(sum(length(data)), 0) FROM outbox`)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(size)/float64(b.N*len(batch)), "outbox-bytes/event")
		})
	}
}

// busyMoment has 200 completed handshakes of few senders.
func busyMoment() (batch []event) {
	for i := range 200 {
		batch = append(batch, with(success(fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15)), func(h *Handshake) { h.EHLO = fmt.Sprint("mail", i%10) }))
	}
	return batch
}

// BenchmarkTake takes such a batch from another host.
func BenchmarkTake(b *testing.B) {
	from, to := newMember(b, empty(b), "mx1"), newMember(b, empty(b), "mx2")
	defer from.close()
	defer to.close()
	if err := from.write(busyMoment()); err != nil {
		b.Fatal(err)
	}
	records := from.recorded(b, 0)
	used := testcpu.Used(b)
	for b.Loop() {
		for i := range records {
			records[i].ID += int64(len(records))
		}
		if err := to.takes(b, from, records); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((testcpu.Used(b)-used).Seconds()*1e6/float64(b.N*len(records)), "cpu-µs/event")
}

// BenchmarkSendersOfAFleet lists 10,000 senders, at one host and at three of which each had all of
// them.
func BenchmarkSendersOfAFleet(b *testing.B) {
	for _, hosts := range []int{1, 3} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			k := newKept(b, retention{})
			random := rand.New(rand.NewPCG(1, 2))
			for i := range 200 * hosts {
				var batch []event
				for j := range maxBatch {
					h := invented(256*i+j, random, time.Now().Add(-manyDays*24*time.Hour))
					h.Transcript = nil
					batch = append(batch, h)
				}
				k.writeAt([]string{"", "mx2", "mx3"}[i%hosts], batch)
			}
			r := reader(b, k.path)
			for name, f := range map[string]Filter{
				"all": {}, "week": {Since: time.Now().AddDate(0, 0, -7)}, "of a host": {Host: Here}, "failing first": {FailingFirst: true},
			} {
				b.Run(name, func(b *testing.B) {
					used := testcpu.Used(b)
					for b.Loop() {
						if _, err := r.Senders(b.Context(), f); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric((testcpu.Used(b)-used).Seconds()*1000/float64(b.N), "cpu-ms/query")
				})
			}
		})
	}
}

// BenchmarkAddHandshake is the cost for a session.
func BenchmarkAddHandshake(b *testing.B) {
	l := Open(filepath.Join(b.TempDir(), "ledger"), Options{})
	defer l.Close()
	random := rand.New(rand.NewPCG(1, 2))
	h := invented(0, random, time.Now())
	for b.Loop() {
		l.AddHandshake(h)
	}
	b.ReportMetric(100*float64(l.Stats().Dropped)/float64(b.N), "%lost")
}

// BenchmarkReportRetention is what is done after each report that is added: it must not grow with
// what is stored.
func BenchmarkReportRetention(b *testing.B) {
	for _, n := range []int{20_000, 80_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, _, err := openStore(b.TempDir()+"/ledger", migrations())
			if err != nil {
				b.Fatal(err)
			}
			defer s.close()
			err = s.transact(func() error {
				for i := range n {
					r := Report{At: time.Unix(int64(i), 0), Address: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), 1}), Content: fmt.Append(nil, i)}
					packed, err := r.pack()
					if err != nil {
						return err
					}
					if _, _, err := r.insert(b.Context(), s.conn, packed, 0, here); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			keep := retention{maxSize: 1 << 30}
			for b.Loop() {
				if err := keep.byReports(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
