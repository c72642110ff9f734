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

// connCounter counts open connections.
type connCounter struct{ now, most, came atomic.Int32 }

func (c *connCounter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.came.Add(1)
	for now := c.now.Add(1); ; {
		most := c.most.Load()
		if now <= most || c.most.CompareAndSwap(most, now) {
			return &countedConn{Conn: conn, counter: c}, nil
		}
	}
}

type countedConn struct {
	net.Conn
	counter *connCounter
	once    sync.Once
}

func (v *countedConn) Close() error {
	v.once.Do(func() { v.counter.now.Add(-1) })
	return v.Conn.Close()
}

func TestAddressHasTwoConnectionsAtATime(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() { // refuses all
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			conn.Write([]byte("421 4.7.0 come again\r\n"))
			conn.Close()
		}
	}()
	counted := new(connCounter)
	healthy, _ := persona.Find(healthyID)
	e := &addressProbe{ctx: t.Context(), healthy: healthy, first: new(persona.Result), runs: make([]Run, len(persona.All()))}
	e.target = persona.Target{Addr: listener.Addr().String(), Dial: counted.dial}
	e.connect(e.connections(persona.All()), maxConnections)
	if most := counted.most.Load(); most > maxConnections {
		t.Errorf("%d connections at a time, want %d at most", most, maxConnections)
	}
	if came := int(counted.came.Load()); came < len(persona.All()) {
		t.Errorf("%d connections for %d personas", came, len(persona.All()))
	}
}

func TestProgressCountsConnections(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close() // a refused connection counts too
	healthy, _ := persona.Find(healthyID)
	e := &addressProbe{ctx: t.Context(), healthy: healthy, first: new(persona.Result), runs: make([]Run, len(persona.All()))}
	e.target = persona.Target{Addr: listener.Addr().String()}
	var mu sync.Mutex
	seen, last := make(map[int]bool), 0
	e.progress = func(over, all int) {
		mu.Lock()
		defer mu.Unlock()
		seen[over], last = true, all
	}
	e.connect(e.connections(persona.All()), maxConnections)
	if want := len(persona.All()) + 1 + len(abortedHandshakes()); len(seen) != want || last != want {
		t.Errorf("%d connections of %d, want %d", len(seen), last, want)
	}
}

// Two MX hosts with one address are probed one after the other: all connections of the
// first are over before one of the second.
func TestAddressIsProbedForOneHostAtATime(t *testing.T) {
	t.Parallel()
	p := newTestDomain(t)
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
				t.Errorf("runs %d: those of two probes are mixed", calls)
			}
			seen[n] = true
		}
	}
	if _, err := prober.Probe(context.Background(), "example.test"); err != nil {
		t.Fatal(err)
	}
	locks.mu.Lock()
	defer locks.mu.Unlock()
	if _, left := locks.locks[netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), p.port)]; len(calls) == 0 || left {
		t.Errorf("%d runs; a lock is left: %v", len(calls), left)
	}
}

// A probe ends at its timeout, whatever locks an address.
func TestLockIsAwaitedUntilTimeout(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:25")
	q := addressLocks{locks: make(map[netip.AddrPort]*addressLock)}
	end := q.lock(t.Context(), addr)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	q.lock(over, addr)()
	if l := q.locks[addr]; l == nil || l.users != 1 || len(l.held) != 1 {
		t.Errorf("%+v, want the first user alone", l)
	}
	end()
	if len(q.locks) > 0 {
		t.Errorf("%d locks are left", len(q.locks))
	}
}
