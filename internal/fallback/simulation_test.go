package fallback

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"postern/handshake"
	"postern/sessionticket"
)

// A kind is a part of the 10,000 senders of the simulation.
type kind struct {
	name         string
	count        int
	client       client
	fingerprints int           // how many there are of its kind
	providers    int           // how many areas they are spread over
	between      time.Duration // from one message to the next, on average
}

// The hostile crowd comes from everywhere with the fingerprint of the honest, and gets in
// where TLS 1.2 is offered, so as to bear witness.
func kinds() []kind {
	return []kind{
		{"healthy", 5500, healthy, 20, 3000, 72 * time.Hour},
		{"strict on early tickets", 1200, strict, 3, 400, 36 * time.Hour},
		{"refuses any ticket", 500, takesNone, 50, 300, 36 * time.Hour},
		{"no TLS 1.3", 300, intolerant13, 100, 300, 36 * time.Hour},
		{"scanner, to the flight", 500, hopeless, 5, 200, 400 * time.Hour},
		{"scanner, alerts", 500, client{}, 5, 200, 400 * time.Hour},
		{"hostile crowd", 1500, intolerant13, 20, 500, 72 * time.Hour},
	}
}

// visitor is a sender in the simulation, and what the ladder cost it.
type visitor struct {
	Sender
	kind   int
	due    time.Time
	failed int    // attempts for the present message
	worst  int    // most for one message
	learnt int    // attempts lost until it was on a mode that works
	tries  [2]int // attempts lost to a better mode tried again, by month
}

type schedule []*visitor

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due.Before(s[j].due) }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)        { *s = append(*s, x.(*visitor)) }
func (s *schedule) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

const month = 30 * 24 * time.Hour

func TestSimulatedMonths(t *testing.T) {
	for _, test := range []struct {
		first sessionticket.Mode
		lost  map[string]int // the most attempts that an honest sender of the kind may lose, tries aside
	}{
		{stock, map[string]int{"healthy": 0, "strict on early tickets": 1, "refuses any ticket": 2, "no TLS 1.3": 2}},
		{firstWrite, map[string]int{"healthy": 0, "strict on early tickets": 0, "refuses any ticket": 1, "no TLS 1.3": 1}},
	} {
		t.Run(test.first.String(), func(t *testing.T) {
			visitors, decisions := simulate(test.first)
			t.Logf("two months, %d decisions; attempts lost:", decisions)
			for i, k := range kinds() {
				sum := tally(visitors, i)
				t.Logf("%-24s %4d senders: %2d at most by one until it is in, %5d by all; to tries %.2f a sender in the first month, %.2f in the second",
					k.name, k.count, sum.learnt, sum.all, sum.tries[0], sum.tries[1])
				if limit, honest := test.lost[k.name]; honest {
					sum.check(t, k.name, limit)
				}
			}
		})
	}
}

// sums are of one kind: the most of any sender, and tries on average.
type sums struct {
	learnt, worst, all int
	tries              [2]float64
}

func tally(visitors []*visitor, kind int) (s sums) {
	n := float64(kinds()[kind].count)
	for _, v := range visitors {
		if v.kind == kind {
			s.learnt, s.worst, s.all = max(s.learnt, v.learnt), max(s.worst, v.worst), s.all+v.learnt
			s.tries[0] += float64(v.tries[0]) / n
			s.tries[1] += float64(v.tries[1]) / n
		}
	}
	return s
}

func (s sums) check(t *testing.T, name string, limit int) {
	if s.learnt > limit || s.worst > limit {
		t.Errorf("%s: a sender lost %d attempts and a message %d, want at most %d", name, s.learnt, s.worst, limit)
	}
	if s.tries[0] > 7 || s.tries[1] > 3 || limit == 0 && s.tries[0]+s.tries[1] > 0 {
		t.Errorf("%s: %.2f tries in the first month and %.2f in the second", name, s.tries[0], s.tries[1])
	}
}

// simulate plays two months. The order of events is the same each time.
func simulate(first sessionticket.Mode) (visitors []*visitor, decisions int) {
	random := rand.New(rand.NewPCG(1, 2))
	l := New(first)
	visitors = populate(random)
	queue := schedule(append([]*visitor(nil), visitors...))
	heap.Init(&queue)
	all := kinds()
	for queue[0].due.Before(epoch.Add(2 * month)) {
		v := queue[0]
		_, end, told := all[v.kind].client.comes(l, v.Sender, v.due)
		decisions += len(told)
		v.ended(end, told, random.ExpFloat64()*float64(all[v.kind].between))
		heap.Fix(&queue, 0)
	}
	return visitors, decisions
}

// ended counts an attempt and says when v comes next: after the pause to the next message, or in
// a quarter of an hour with one that was not taken, up to five times.
func (v *visitor) ended(end handshake.Outcome, told []Decision, pause float64) {
	if end != handshake.Worked {
		v.failed++
		v.worst = max(v.worst, v.failed)
		if len(told) > 0 && told[0].Kind == RetryFailed {
			v.tries[v.due.Sub(epoch)/month]++
		} else {
			v.learnt++
		}
		if v.failed < 5 {
			v.due = v.due.Add(15 * time.Minute)
			return
		}
	}
	v.failed = 0
	v.due = v.due.Add(time.Duration(pause))
}

// populate makes the senders. No two kinds of client share a fingerprint and a network;
// the hostile and the healthy share fingerprints.
func populate(random *rand.Rand) (visitors []*visitor) {
	for i, k := range kinds() {
		name := cmp.Or(map[string]string{"hostile crowd": "healthy"}[k.name], k.name)
		for n := range k.count {
			provider := n % k.providers
			network := [4]byte{byte(16*i + provider>>8), byte(provider), byte(n / k.providers), 1}
			visitors = append(visitors, &visitor{
				Sender: Sender{netip.AddrFrom4(network), fmt.Sprint(name, random.IntN(k.fingerprints))},
				kind:   i,
				due:    epoch.Add(time.Duration(random.Int64N(int64(k.between)))),
			})
		}
	}
	return visitors
}

// The modes, by short names.
const (
	stock      = sessionticket.Stock
	firstWrite = sessionticket.FirstWrite
	ownWrite   = sessionticket.OwnWrite
	noTicket   = sessionticket.NoTicket
	tls12      = sessionticket.TLS12
)

// A client is what a kind of sender does in each mode.
type client [modes]handshake.Outcome

func inOrder(inStock, inFirstWrite, inOwnWrite, inNoTicket, inTLS12 handshake.Outcome) client {
	return client{stock: inStock, firstWrite: inFirstWrite, ownWrite: inOwnWrite, noTicket: inNoTicket, tls12: inTLS12}
}

var (
	healthy      = inOrder(handshake.Worked, handshake.Worked, handshake.Worked, handshake.Worked, handshake.Worked)
	strict       = inOrder(handshake.ClosedAfterFlight, handshake.Worked, handshake.Worked, handshake.Worked, handshake.Worked)
	takesNone    = inOrder(handshake.ClosedAfterFlight, handshake.ClosedAfterTicket, handshake.ClosedAfterTicket, handshake.Worked, handshake.Worked)
	intolerant13 = inOrder(handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.Worked)
	hopeless     = inOrder(handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight)
)

var epoch = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func from(addr, fingerprint string) Sender {
	return Sender{Addr: netip.MustParseAddr(addr), Fingerprint: fingerprint}
}

// comes is one attempt of s: what it was offered, and how that ended.
func (c client) comes(l *Selector, s Sender, now time.Time) (sessionticket.Mode, handshake.Outcome, []Decision) {
	mode, _ := l.Choose(s, now)
	return mode, c[mode], l.Learn(s, mode, c[mode], now)
}

// getsIn lets s come until it is in and returns the rungs on which it failed.
func (c client) getsIn(t *testing.T, l *Selector, s Sender, now time.Time) []sessionticket.Mode {
	t.Helper()
	var lost []sessionticket.Mode
	for range 20 {
		mode, end, _ := c.comes(l, s, now)
		if end == handshake.Worked {
			return lost
		}
		lost = append(lost, mode)
		now = now.Add(15 * time.Minute)
	}
	t.Fatalf("%v did not get in: it was offered %v", s.Addr, lost)
	return nil
}

func wantMode(t *testing.T, l *Selector, s Sender, now time.Time, want sessionticket.Mode) {
	t.Helper()
	if mode, why := l.Choose(s, now); mode != want {
		t.Errorf("%v is offered %v (%s), want %v", s.Addr, mode, why, want)
	}
}
