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

// The hostile crowd connects from everywhere with the fingerprints of healthy senders, and
// completes its handshakes in tls12, so as to count as evidence.
func kinds() []kind {
	return []kind{
		{"healthy", 5000, healthy, 20, 3000, 72 * time.Hour},
		{"early-ticket", 700, earlyTicket, 3, 400, 36 * time.Hour},
		{"ticket-in-finished-read", 500, earlyTicket, 3, 400, 36 * time.Hour},
		{"ticket-with-data", 400, ticketWithData, 3, 400, 36 * time.Hour},
		{"a ticket in a shared read", 200, sharedRead, 3, 150, 36 * time.Hour},
		{"ticket-after-finished", 300, refusesTickets, 50, 200, 36 * time.Hour},
		{"ticket-surprises-client", 100, surprisedByTickets, 20, 100, 36 * time.Hour},
		{"no TLS 1.3", 300, intolerant13, 100, 300, 36 * time.Hour},
		{"scanner, to the flight", 500, alwaysFails, 5, 200, 400 * time.Hour},
		{"scanner, alerts", 500, client{}, 5, 200, 400 * time.Hour},
		{"hostile crowd", 1500, intolerant13, 20, 500, 72 * time.Hour},
		{verifying, 2000, alwaysFails, 0, 0, 48 * time.Hour},
	}
}

// verifying senders refuse the certificate without an alert, in every mode. Each has a healthy
// neighbour with its fingerprint, in its network and for some on its host.
const verifying = "verifies the certificate"

// simulated is a sender of the simulation, and what the fallback cost it.
type simulated struct {
	Sender
	kind    int
	due     time.Time
	failed  int // attempts for the present message
	worst   int // most for one message
	lost    int // attempts lost until it had a mode that works
	retries [2]int
	in12    int // completed handshakes that were restricted to TLS 1.2 // attempts lost to retries, by month
}

type schedule []*simulated

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due.Before(s[j].due) }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)        { *s = append(*s, x.(*simulated)) }
func (s *schedule) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

const month = 30 * 24 * time.Hour

func TestSimulatedMonths(t *testing.T) {
	t.Parallel() // so after the quick ones
	for _, test := range []struct {
		first sessionticket.Mode
		lost  map[string]int // the most attempts that an honest sender of the kind may lose, without retries
	}{
		{stock, map[string]int{
			"healthy": 0, "early-ticket": 1, "ticket-in-finished-read": 1, "ticket-with-data": 0, "a ticket in a shared read": 1,
			"ticket-after-finished": 2, "ticket-surprises-client": 2, "no TLS 1.3": 4,
		}},
		{firstWrite, map[string]int{
			"healthy": 0, "early-ticket": 0, "ticket-in-finished-read": 0, "ticket-with-data": 2, "a ticket in a shared read": 2,
			"ticket-after-finished": 2, "ticket-surprises-client": 3, "no TLS 1.3": 3,
		}},
		{ownWrite, map[string]int{
			"healthy": 0, "early-ticket": 0, "ticket-in-finished-read": 0, "ticket-with-data": 0, "a ticket in a shared read": 0,
			"ticket-after-finished": 1, "ticket-surprises-client": 2, "no TLS 1.3": 3,
		}},
	} {
		t.Run(test.first.String(), func(t *testing.T) {
			t.Parallel()
			senders, decisions := simulate(test.first)
			t.Logf("two months, %d decisions; attempts lost:", decisions)
			checkTLS13(t, senders)
			for i, k := range kinds() {
				sum := tally(senders, i)
				t.Logf("%-26s %4d senders: %2d at most by one until it delivers, %5d by all; to retries %.2f per sender in the first month, %.2f in the second",
					k.name, k.count, sum.lost, sum.all, sum.retries[0], sum.retries[1])
				if limit, honest := test.lost[k.name]; honest {
					sum.check(t, k.name, limit)
				}
			}
		})
	}
}

// sums are of one kind: the maximum of all senders, and retries on average.
type sums struct {
	lost, worst, all int
	retries          [2]float64
}

func tally(senders []*simulated, kind int) (s sums) {
	n := float64(kinds()[kind].count)
	for _, v := range senders {
		if v.kind == kind {
			s.lost, s.worst, s.all = max(s.lost, v.lost), max(s.worst, v.worst), s.all+v.lost
			s.retries[0] += float64(v.retries[0]) / n
			s.retries[1] += float64(v.retries[1]) / n
		}
	}
	return s
}

func (s sums) check(t *testing.T, name string, limit int) {
	if s.lost > limit || s.worst > limit {
		t.Errorf("%s: a sender lost %d attempts and a message %d, want at most %d", name, s.lost, s.worst, limit)
	}
	if s.retries[0] > 7 || s.retries[1] > 3 || limit == 0 && s.retries[0]+s.retries[1] > 0 {
		t.Errorf("%s: %.2f retries in the first month and %.2f in the second", name, s.retries[0], s.retries[1])
	}
}

// simulate plays two months. The order of events is the same each time.
func simulate(first sessionticket.Mode) (senders []*simulated, decisions int) {
	random := rand.New(rand.NewPCG(1, 2))
	l := New(first)
	senders = populate(random)
	queue := schedule(append([]*simulated(nil), senders...))
	heap.Init(&queue)
	all := kinds()
	for queue[0].due.Before(epoch.Add(2 * month)) {
		v := queue[0]
		mode, end, decided := all[v.kind].client.connect(l, v.Sender, v.due)
		decisions += len(decided)
		if mode == tls12 && end == handshake.Worked {
			v.in12++
		}
		v.ended(end, decided, random.ExpFloat64()*float64(all[v.kind].between))
		heap.Fix(&queue, 0)
	}
	return senders, decisions
}

// ended counts an attempt and sets the time of the next one: after the pause to the next
// message, or a quarter of an hour after a failed attempt, up to five times.
func (v *simulated) ended(end handshake.Outcome, decided []Decision, pause float64) {
	if end != handshake.Worked {
		v.failed++
		v.worst = max(v.worst, v.failed)
		if len(decided) > 0 && decided[0].Kind == RetryFailed {
			v.retries[v.due.Sub(epoch)/month]++
		} else {
			v.lost++
		}
		if v.failed < 5 {
			v.due = v.due.Add(15 * time.Minute)
			return
		}
	}
	v.failed = 0
	v.due = v.due.Add(time.Duration(pause))
}

// populate returns the senders. No two kinds of client share a fingerprint and a network;
// the hostile and the healthy ones share fingerprints.
func populate(random *rand.Rand) (senders []*simulated) {
	for i, k := range kinds() {
		if k.name == verifying {
			senders = append(senders, neighbours(senders, i, k, random)...)
			continue
		}
		name := cmp.Or(map[string]string{"hostile crowd": "healthy"}[k.name], k.name)
		for n := range k.count {
			provider := n % k.providers
			network := [4]byte{byte(16*i + provider>>8), byte(provider), byte(n / k.providers), 1}
			senders = append(senders, &simulated{
				Sender: Sender{netip.AddrFrom4(network), fmt.Sprint(name, random.IntN(k.fingerprints))},
				kind:   i,
				due:    epoch.Add(time.Duration(random.Int64N(int64(k.between)))),
			})
		}
	}
	return senders
}

// neighbours returns senders of a kind beside healthy ones. Every tenth shares the host of its
// neighbour.
func neighbours(senders []*simulated, kind int, k kind, random *rand.Rand) (added []*simulated) {
	for n := range k.count {
		healthy := senders[2*n].Sender
		addr := healthy.Addr.As4()
		if n%10 > 0 {
			addr[3]++
		}
		added = append(added, &simulated{
			Sender: Sender{netip.AddrFrom4(addr), healthy.Fingerprint},
			kind:   kind,
			due:    epoch.Add(time.Duration(random.Int64N(int64(k.between)))),
		})
	}
	return added
}

// A healthy sender loses TLS 1.3 for no more than one connection, whoever its neighbours are.
func checkTLS13(t *testing.T, senders []*simulated) {
	t.Helper()
	hosts := make(map[Sender]bool) // with a sender that verifies
	for _, v := range senders {
		if kinds()[v.kind].name == verifying {
			hosts[v.Sender] = true
		}
	}
	var shared, on12 int
	for _, v := range senders {
		if kinds()[v.kind].name != "healthy" {
			continue
		}
		limit := 0
		if hosts[v.Sender] {
			limit = 1
			shared++
		}
		if v.in12 > limit {
			t.Errorf("%v completed %d handshakes in TLS 1.2, want at most %d", v.Addr, v.in12, limit)
		}
		on12 += v.in12
	}
	t.Logf("healthy senders completed %d handshakes in TLS 1.2, all on %d hosts shared with a sender that verifies", on12, shared)
}

// The modes, by short names.
const (
	stock      = sessionticket.Stock
	firstWrite = sessionticket.FirstWrite
	ownWrite   = sessionticket.OwnWrite
	noTicket   = sessionticket.NoTicket
	tls12      = sessionticket.TLS12
)

// A client is the outcome of a kind of client in each mode.
type client [modes]handshake.Outcome

func inOrder(inStock, inFirstWrite, inOwnWrite, inNoTicket, inTLS12 handshake.Outcome) client {
	return client{stock: inStock, firstWrite: inFirstWrite, ownWrite: inOwnWrite, noTicket: inNoTicket, tls12: inTLS12}
}

var (
	healthy            = inOrder(handshake.Worked, handshake.Worked, handshake.Worked, handshake.Worked, handshake.Worked)
	earlyTicket        = inOrder(handshake.ClosedAfterFlight, handshake.Worked, handshake.Worked, handshake.Worked, handshake.Worked)
	ticketWithData     = inOrder(handshake.Worked, handshake.ClosedAfterReply, handshake.Worked, handshake.Worked, handshake.Worked)
	sharedRead         = inOrder(handshake.ClosedAfterFlight, handshake.ClosedAfterReply, handshake.Worked, handshake.Worked, handshake.Worked)
	surprisedByTickets = inOrder(handshake.ClosedAfterReply, handshake.ClosedAfterReply, handshake.ClosedAfterReply, handshake.Worked, handshake.Worked)
	refusesTickets     = inOrder(handshake.ClosedAfterFlight, handshake.ClosedAfterTicket, handshake.ClosedAfterTicket, handshake.Worked, handshake.Worked)
	intolerant13       = inOrder(handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.Worked)
	alwaysFails        = inOrder(handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight)
)

var epoch = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func from(addr, fingerprint string) Sender {
	return Sender{Addr: netip.MustParseAddr(addr), Fingerprint: fingerprint}
}

// connect is one attempt of s. It returns the mode, the outcome and the decisions.
func (c client) connect(l *Selector, s Sender, now time.Time) (sessionticket.Mode, handshake.Outcome, []Decision) {
	mode, _ := l.Choose(s, now)
	return mode, c[mode], l.Learn(s, mode, c[mode], now)
}

// deliver lets s connect until a handshake completes, and returns the modes that failed.
func (c client) deliver(t *testing.T, l *Selector, s Sender, now time.Time) []sessionticket.Mode {
	t.Helper()
	var lost []sessionticket.Mode
	for range 20 {
		mode, end, _ := c.connect(l, s, now)
		if end == handshake.Worked {
			return lost
		}
		lost = append(lost, mode)
		now = now.Add(15 * time.Minute)
	}
	t.Fatalf("%v did not complete a handshake in %v", s.Addr, lost)
	return nil
}

// settle lets s deliver until it has a mode that works for it.
func (c client) settle(t *testing.T, l *Selector, s Sender, now time.Time) {
	t.Helper()
	for range 3 { // a trial, another one for TLS 1.2, and the mode
		c.deliver(t, l, s, now)
		now = now.Add(time.Hour)
	}
}

func wantMode(t *testing.T, l *Selector, s Sender, now time.Time, want sessionticket.Mode) {
	t.Helper()
	if mode, why := l.Choose(s, now); mode != want {
		t.Errorf("%v has mode %v (%s), want %v", s.Addr, mode, why, want)
	}
}
