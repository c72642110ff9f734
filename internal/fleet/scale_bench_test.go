package fleet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"postern/handshake"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/testcpu"
	"postern/sessionticket"
)

// A load is what a fleet of many hosts receives, in the numbers of docs/fleet.md.
type load struct {
	hosts    int
	sessions int // a day, at all hosts
	senders  int // the busiest has a tenth of the sessions, the others ever fewer (Zipf)
}

var largeFleet = load{hosts: 100, sessions: 1e9, senders: 1e6}

// second returns how many sessions a host has in a second.
func (l load) second() int {
	return int(math.Round(float64(l.sessions) / float64(l.hosts) / (24 * time.Hour).Seconds()))
}

// BenchmarkLargeFleet is what a session costs in a large fleet, with the code that a server has, and
// without a network: what its own host needs to compress and encrypt it, and what each other host
// needs to take it. Bytes are those of the stream, and those that the ledger of a host grows by. One in a hundred
// handshakes fails, with a transcript.
//
//	go test ./internal/fleet -run '^$' -bench LargeFleet -benchtime 500x
func BenchmarkLargeFleet(b *testing.B) {
	ctx := context.Background()
	transcript, err := os.ReadFile("../../handshake/testdata/early-ticket.json")
	if err != nil {
		b.Fatal(err)
	}
	l := largeFleet
	sealer, err := newSealer([]byte(secret), "bench")
	if err != nil {
		b.Fatal(err)
	}
	f := &Fleet{Settings: Settings{Access: Access{Prefix: "bench"}}, sealer: sealer}
	folder := b.TempDir()
	open := func(host string) *ledger.Ledger {
		l := ledger.Open(filepath.Join(folder, host), ledger.Options{Host: host, MaxSize: 64 << 30})
		b.Cleanup(func() { _ = l.Close() })
		return l
	}
	own, other := open("mx0"), open("other")
	random := mathrand.New(mathrand.NewPCG(1, 2))
	busy := mathrand.NewZipf(random, 1.1, 1, uint64(l.senders-1))
	var (
		sealing, taking time.Duration
		sent, sessions  int
		last            int64
		at              = time.Now()
	)
	for second := range b.N {
		n := l.second()
		for range n {
			own.AddHandshake(session(random, int(busy.Uint64()), at.Add(time.Duration(second)*time.Second), transcript))
		}
		var records []ledger.Record
		for len(records) < n { // the ledger writes in batches, and waits for others
			time.Sleep(10 * time.Millisecond)
			more, err := own.Own(ctx, last, maxRecords)
			if err != nil {
				b.Fatal(err)
			}
			if len(more) > 0 {
				records, last = append(records, more...), more[len(more)-1].ID
			}
		}
		used := testcpu.Used(b)
		sealed, err := f.sealBatch(&batch{Host: "mx0", After: records[0].ID - 1, Records: records})
		if err != nil {
			b.Fatal(err)
		}
		sealing += testcpu.Used(b) - used
		sent += len(sealed)
		sessions += n

		used = testcpu.Used(b)
		got, err := f.openBatch(f.eventSubject("mx0"), sealed)
		if err == nil {
			// A host has few of a second of each of many hosts.
			err = other.Take(ctx, fmt.Sprintf("mx%d", second%(l.hosts-1)), 0, got.Records)
		}
		if err != nil {
			b.Fatal(err)
		}
		taking += testcpu.Used(b) - used
	}
	each := func(total time.Duration) float64 { return total.Seconds() * 1e6 / float64(sessions) }
	b.ReportMetric(each(sealing), "seal-µs/session")
	b.ReportMetric(each(taking), "take-µs/session")
	b.ReportMetric(float64(sent)/float64(sessions), "stream-B/session")
	size, err := os.Stat(filepath.Join(folder, "other"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(size.Size())/float64(sessions), "ledger-B/session")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkStatesOfLargeFleet is what strict senders cost that try the hosts of a large fleet in mode
// stock at random, until each has delivered: messages in the bucket, its size, and what each host
// needs to adopt them and to remember them.
func BenchmarkStatesOfLargeFleet(b *testing.B) {
	sealer, err := newSealer([]byte(secret), "bench")
	if err != nil {
		b.Fatal(err)
	}
	f := &Fleet{sealer: sealer}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	hosts := make([]*fallback.Selector, largeFleet.hosts)
	for i := range hosts {
		hosts[i] = fallback.New(sessionticket.Stock)
		hosts[i].Share(fmt.Sprintf("mx%d", i))
	}
	random := mathrand.New(mathrand.NewPCG(1, 2))
	now := time.Now()
	var messages, lost int
	var adopting time.Duration
	sizes := make(map[string]int)
	for i := range b.N {
		sender := fallback.Sender{Addr: netip.AddrFrom4([4]byte{byte(1 + i>>16), byte(i >> 8), byte(i), 1}), Fingerprint: fmt.Sprintf("strict%d", i)}
		for done := false; !done; now = now.Add(time.Minute) {
			host := hosts[random.IntN(len(hosts))]
			mode, _ := host.Choose(sender, now)
			outcome := handshake.Worked
			if mode == sessionticket.Stock {
				outcome = handshake.ClosedAfterFlight
				lost++
			}
			host.Learn(sender, mode, outcome, now)
			done = outcome == handshake.Worked
			for news := host.News(newsPortion); len(news) > 0; news = host.News(newsPortion) {
				for _, state := range news {
					value, err := json.Marshal(state)
					if err != nil {
						b.Fatal(err)
					}
					name := f.stateName(&state)
					sizes[name] = len(sealer.seal(name, value))
					messages++
				}
				used := testcpu.Used(b)
				for _, other := range hosts {
					if other != host {
						other.Adopt(news, now)
					}
				}
				adopting += testcpu.Used(b) - used
			}
		}
	}
	total := 0
	for _, size := range sizes {
		total += size
	}
	b.ReportMetric(float64(lost)/float64(b.N), "lost/sender")
	b.ReportMetric(float64(messages)/float64(b.N), "messages/sender")
	b.ReportMetric(float64(total)/float64(b.N), "bucket-B/sender")
	b.ReportMetric(adopting.Seconds()*1e6/float64(messages*(len(hosts)-1)), "adopt-µs/message")
	b.ReportMetric(float64(heap()-before)/float64(b.N*len(hosts)), "heap-B/sender")
	b.ReportMetric(0, "ns/op")
	runtime.KeepAlive(hosts)
}

// session returns a session of a sender.
func session(random *mathrand.Rand, sender int, at time.Time, transcript []byte) ledger.Handshake {
	network := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(1 + sender>>16), byte(sender >> 8), byte(sender), 0}), 24)
	h := ledger.Handshake{
		Session: rand.Text()[:12], At: at, Network: network, Address: network.Addr().Next(),
		EHLO: fmt.Sprintf("mail%d.sender%d.example", sender%4, sender), Name: fmt.Sprintf("mail%d.sender%d.example", sender%4, sender),
		Fingerprint: fmt.Sprintf("t13d1516h2_8daaf6152771_%012x", sender%50),
		Outcome:     ledger.Resumed, Mode: sessionticket.OwnWrite, Version: 0x0304, Suite: 0x1301, Group: 29, Delivered: true,
	}
	switch chance := random.IntN(100); {
	case chance == 0:
		h.Outcome, h.Delivered = ledger.Failed, false
		h.Stopped, h.Next = "closed silently after the flight", "mode own-write again"
		h.Diagnoses = []ledger.Diagnosis{{Case: "early-ticket", Confidence: 0.8, Evidence: []string{"the client closed after the server's flight"}}}
		h.Transcript = transcript
	case chance < 40:
		h.Outcome = ledger.Full
	}
	return h
}
