package probe

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"postern/internal/persona"
)

// crowd counts connections that are open at a time.
type crowd struct{ now, most, came atomic.Int32 }

func (c *crowd) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.came.Add(1)
	for now := c.now.Add(1); ; {
		most := c.most.Load()
		if now <= most || c.most.CompareAndSwap(most, now) {
			return &visitor{Conn: conn, crowd: c}, nil
		}
	}
}

type visitor struct {
	net.Conn
	crowd *crowd
	once  sync.Once
}

func (v *visitor) Close() error {
	v.once.Do(func() { v.crowd.now.Add(-1) })
	return v.Conn.Close()
}

func TestVisitorsComeTwoAtATime(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() { // greets nobody
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			conn.Write([]byte("421 4.7.0 come again\r\n"))
			conn.Close()
		}
	}()
	counted := new(crowd)
	healthy, _ := persona.Find(healthyID)
	e := &exam{ctx: t.Context(), healthy: healthy, first: new(persona.Result)}
	e.target = persona.Target{Addr: listener.Addr().String(), Dial: counted.dial}
	e.rest(nil)
	if most := counted.most.Load(); most > connections {
		t.Errorf("%d connections at a time, want %d at most", most, connections)
	}
	if came := int(counted.came.Load()); came < len(persona.All()) {
		t.Errorf("%d connections for %d personas", came, len(persona.All()))
	}
}

func TestVisitsAreCounted(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close() // nobody is there, which is a visit too
	healthy, _ := persona.Find(healthyID)
	e := &exam{ctx: t.Context(), healthy: healthy, first: new(persona.Result)}
	e.target = persona.Target{Addr: listener.Addr().String()}
	var mu sync.Mutex
	seen, last := make(map[int]bool), 0
	e.visited = func(over, all int) {
		mu.Lock()
		defer mu.Unlock()
		seen[over], last = true, all
	}
	e.rest(nil)
	if want := len(persona.All()) + 1 + len(breaches()); len(seen) != want || last != want {
		t.Errorf("%d visits of %d, want %d", len(seen), last, want)
	}
}

// Two MX hosts with one address, which is asked for both at once, are examined one
// after the other: the visits of the first are over before one of the second is.
func TestAddressIsExaminedForOneHostAtATime(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	names := zone(t, false, "example.test. MX 10 a.test.", "example.test. MX 20 b.test.", "a.test. A 127.0.0.1", "b.test. A 127.0.0.1")
	one, _ := persona.Find(healthyID)
	var mu sync.Mutex
	var calls []int
	prober := &Prober{Port: p.port, RootCAs: p.host.Pool, Resolver: names, Personas: []*persona.Persona{one}}
	prober.Progress = func(_ netip.AddrPort, over, all int) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, over)
		seen := make(map[int]bool)
		for _, n := range calls[len(calls)-1-(len(calls)-1)%all:] {
			if seen[n] {
				t.Errorf("visits %d: those of two exams are mixed", calls)
			}
			seen[n] = true
		}
	}
	if _, err := prober.Probe(context.Background(), "example.test"); err != nil {
		t.Fatal(err)
	}
	ahead.mu.Lock()
	defer ahead.mu.Unlock()
	if _, left := ahead.lines[netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), p.port)]; len(calls) == 0 || left {
		t.Errorf("%d visits; a line is left: %v", len(calls), left)
	}
}

// A prober ends with its time, whoever has the turn.
func TestTurnIsAwaitedNoLongerThanThereIsTime(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:25")
	q := turns{lines: make(map[netip.AddrPort]*line)}
	end := q.take(t.Context(), addr)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	q.take(over, addr)()
	if l := q.lines[addr]; l == nil || l.all != 1 || len(l.first) != 1 {
		t.Errorf("%+v, want the first alone in line", l)
	}
	end()
	if len(q.lines) > 0 {
		t.Errorf("%d lines are left", len(q.lines))
	}
}
