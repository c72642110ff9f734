package admission

import (
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A flood from many networks has a bounded number of lines, and every event is in one.
func TestTallyAccountsForEveryEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // the report comes from a timer's goroutine
		var sums []Sum
		var took time.Duration
		take := func() []Sum {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			taken := sums
			sums = nil
			return taken
		}
		tally := NewTally(Quotas{Total: Quota{Starts: 20}, PerNetwork: Quota{Starts: 8}}, func(s []Sum, d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			sums, took = append(sums, s...), d
		})
		lines, events := 0, 0
		event := func(from string, i int) {
			events++
			addr := netip.MustParseAddr(from)
			if i > 0 {
				addr = netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})
			}
			if tally.Line(addr, events%2) {
				lines++
			}
		}
		for range 1000 {
			event("192.0.2.7", 0)
		}
		for i := range 3000 {
			event("198.51.100.7", i)
		}
		if first := take(); lines != 200 || first != nil {
			t.Errorf("%d lines and the sums %v at first; want 200 and none", lines, first)
		}
		time.Sleep(time.Minute)
		reported := take()
		if len(reported) != 21 || took != time.Minute {
			t.Fatalf("%d sums after %v, want 21 after a minute", len(reported), took)
		}
		if first, last := reported[0], reported[20]; first.String() != "192.0.2.0/24" || first.Counts != [2]int64{490, 490} || last.String() != "others" {
			t.Errorf("the first sum is of %v: %v, the last of %v", first, first.Counts, last)
		}
		for _, sum := range reported {
			lines += int(sum.total())
		}
		if lines != events {
			t.Errorf("lines and sums account for %d of %d events", lines, events)
		}

		time.Sleep(10 * time.Minute)
		if again := take(); again != nil {
			t.Errorf("the sums are reported again: %v", again)
		}
		for range 21 {
			event("192.0.2.7", 0)
		}
		tally.Report() // as at the end
		if reported = take(); len(reported) != 1 || reported[0].total() != 1 {
			t.Errorf("after a pause, of 21 events %v are summed up; want one", reported)
		}
	})
}

// A sum that was asked for ends its minute: what comes after it has a whole one.
func TestTallyBeginsAMinuteAfterAReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reports := make(chan time.Duration, 9)
		tally := NewTally(Quotas{}, func(_ []Sum, took time.Duration) { reports <- took })
		from := netip.MustParseAddr("192.0.2.7")
		tally.count(Network(from), 0)
		time.Sleep(20 * time.Second)
		tally.Report()
		time.Sleep(10 * time.Second)
		tally.count(Network(from), 0)
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if took := <-reports; took != 20*time.Second || len(reports) > 0 {
			t.Errorf("the first report is about %v, and %d more came within a minute", took, len(reports))
		}
		time.Sleep(time.Second)
		if took := <-reports; took != time.Minute {
			t.Errorf("the next report is about %v", took)
		}
	})
}

// Each kind is summed for itself, for the largest networks and for the others.
func TestLargestSumsAreReportedFirst(t *testing.T) {
	sums := make(map[netip.Prefix]*Sum)
	network := func(i int) netip.Prefix { return Network(netip.AddrFrom4([4]byte{10, 0, byte(i), 1})) }
	for i := range 22 {
		sums[network(i)] = &Sum{Network: network(i), Counts: [2]int64{int64(100 - i), 3}}
	}
	sums[network(5)].Counts = [2]int64{0, 100} // as many as network(3), which comes first
	sums[netip.Prefix{}] = &Sum{Counts: [2]int64{1000, 1}}
	reported := largest(sums)
	if len(reported) != 21 {
		t.Fatalf("%d sums, want 20 networks and the others", len(reported))
	}
	if reported[0].Network != network(0) || reported[3].Network != network(3) || reported[4].Network != network(5) || reported[5].Network != network(4) {
		t.Errorf("order: %v", reported)
	}
	if others := reported[20]; others.String() != "others" || others.Counts != [2]int64{1000 + 80 + 79, 1 + 3 + 3} {
		t.Errorf("others: %v", others)
	}

	few := map[netip.Prefix]*Sum{}
	for i := range 21 {
		few[network(i)] = &Sum{Network: network(i), Counts: [2]int64{1, 0}}
	}
	if reported := largest(few); len(reported) != 21 || reported[20].Counts != [2]int64{1, 0} || reported[20].Network.IsValid() {
		t.Errorf("21 networks with an event each: %v", reported)
	}
	delete(few, network(20))
	if reported := largest(few); len(reported) != 20 || !reported[19].Network.IsValid() {
		t.Errorf("20 networks: %v", reported)
	}
}

func TestTallyCountsABoundedNumberOfNetworks(t *testing.T) {
	tally := NewTally(Quotas{}, func([]Sum, time.Duration) {})
	for i := range 5000 {
		tally.Line(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 0)
	}
	if n := len(tally.sums); n != 1025 {
		t.Errorf("%d networks are counted, want 1,024 and the others", n)
	}
	tally.Report()
}
