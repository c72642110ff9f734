package admission

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// A flood from many networks has a bounded number of lines, and every event is in one.
func TestTallyAccountsForEveryEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reported []Sum
		var took time.Duration
		tally := NewTally(Quotas{Total: Quota{Starts: 20}, PerNetwork: Quota{Starts: 8}}, func(sums []Sum, d time.Duration) {
			reported, took = append(reported, sums...), d
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
		if lines != 200 || reported != nil {
			t.Errorf("%d lines and the sums %v at first; want 200 and none", lines, reported)
		}
		time.Sleep(time.Minute + time.Millisecond)
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

		reported = nil
		time.Sleep(10 * time.Minute)
		if reported != nil {
			t.Errorf("the sums are reported again: %v", reported)
		}
		for range 21 {
			event("192.0.2.7", 0)
		}
		tally.Report() // as at the end
		if len(reported) != 1 || reported[0].total() != 1 {
			t.Errorf("after a pause, of 21 events %v are summed up; want one", reported)
		}
	})
}
