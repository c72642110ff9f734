package admission

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// SumInterval is how long a [Tally] counts before it reports.
	SumInterval = time.Minute

	// maxSums bounds the networks that are counted for themselves in one interval, and
	// maxReported those that are reported: the others are one.
	maxSums     = 1024
	maxReported = 20
)

// A Tally bounds the lines that clients can cause in a log: some events have a line each,
// and the others are counted for each [Network] and reported once a minute. It is safe for
// concurrent use.
type Tally struct {
	rate    Quotas // Starts are lines
	limiter *Limiter
	report  func([]Sum, time.Duration)

	mu    sync.Mutex
	since time.Time             // of the first count; zero if nothing is counted
	sums  map[netip.Prefix]*Sum // the zero Prefix is for others
	timer *time.Timer
}

// A Sum counts the events of a network.
type Sum struct {
	Network netip.Prefix // the zero Prefix: all networks without a sum of their own
	Counts  [2]int64     // by kind
}

// String returns the network, or "others", as in the log.
func (s Sum) String() string {
	if !s.Network.IsValid() {
		return "others"
	}
	return s.Network.String()
}

func (s Sum) total() int64 { return s.Counts[0] + s.Counts[1] }

// NewTally returns a tally with the Starts of rate as the rate of lines. Report is called
// with the counts, the largest first, and the time that they took.
func NewTally(rate Quotas, report func(sums []Sum, took time.Duration)) *Tally {
	return &Tally{rate: rate, limiter: New(), report: report, sums: make(map[netip.Prefix]*Sum)}
}

// Line reports whether an event has a line of its own. If not, the event is counted as one
// of kind, 0 or 1.
func (t *Tally) Line(from netip.Addr, kind int) bool {
	if t.limiter.AllowStart(from, t.rate) == nil {
		return true
	}
	t.count(Network(from), kind)
	return false
}

func (t *Tally) count(network netip.Prefix, kind int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		t.since = time.Now()
		t.timer = time.AfterFunc(SumInterval, t.Report)
	}
	if t.sums[network] == nil && len(t.sums) >= maxSums {
		network = netip.Prefix{}
	}
	sum := t.sums[network]
	if sum == nil {
		sum = &Sum{Network: network}
		t.sums[network] = sum
	}
	sum.Counts[kind]++
}

// Report reports now what was counted. It does nothing if nothing was.
func (t *Tally) Report() {
	t.mu.Lock()
	sums, since := t.sums, t.since
	t.sums, t.since = make(map[netip.Prefix]*Sum), time.Time{}
	if t.timer != nil {
		t.timer.Stop()
	}
	t.mu.Unlock()
	if len(sums) > 0 {
		t.report(largest(sums), time.Since(since).Round(time.Second))
	}
}

// largest returns the largest sums, and the sum of the others as the last.
func largest(sums map[netip.Prefix]*Sum) []Sum {
	var others Sum
	if o := sums[netip.Prefix{}]; o != nil {
		others = *o
		delete(sums, netip.Prefix{})
	}
	all := slices.SortedFunc(maps.Values(sums), func(x, y *Sum) int {
		return cmp.Or(cmp.Compare(y.total(), x.total()), x.Network.Compare(y.Network))
	})
	var reported []Sum
	for i, sum := range all {
		if i < maxReported {
			reported = append(reported, *sum)
			continue
		}
		others.Counts[0] += sum.Counts[0]
		others.Counts[1] += sum.Counts[1]
	}
	if others.total() > 0 {
		reported = append(reported, others)
	}
	return reported
}
