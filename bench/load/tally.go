package load

import (
	"fmt"
	"slices"
	"time"
)

// Tally is what became of a load.
type Tally struct {
	Took                 time.Duration // all of it
	Time                 time.Duration // that counted
	Connections, Resumed int
	Acknowledged         int // messages, all of them
	Counted              int // messages acknowledged in Time

	number    int64
	bySender  []int
	latencies []time.Duration
}

func (t *Tally) add(s *sender) {
	t.Connections += s.connections
	t.Resumed += s.resumed
	t.Acknowledged += s.acknowledged
	t.Counted += s.counted
	t.bySender = append(t.bySender, s.acknowledged)
	t.latencies = append(t.latencies, s.latencies...)
}

// Rate is how many messages were acknowledged a second.
func (t *Tally) Rate() float64 { return float64(t.Counted) / t.Time.Seconds() }

// Latency is the median time from MAIL to the reply to the text.
func (t *Tally) Latency() time.Duration {
	if len(t.latencies) == 0 {
		return 0
	}
	slices.Sort(t.latencies)
	return t.latencies[len(t.latencies)/2]
}

// checkResumption checks that all connections resumed but the first of each
// sender, or that none did, as the load asked for.
func (t *Tally) checkResumption(r *run) error {
	if want := t.Connections - r.Senders; r.Resume && t.Resumed < want {
		return fmt.Errorf("load on %s: %d of %d connections resumed, want %d", r.Addr, t.Resumed, t.Connections, want)
	}
	if !r.Resume && t.Resumed > 0 {
		return fmt.Errorf("load on %s: %d connections resumed, want none", r.Addr, t.Resumed)
	}
	return nil
}
