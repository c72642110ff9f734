package probe

import (
	"context"
	"net"
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
	e := &exam{ctx: t.Context(), healthy: healthy, first: new(persona.Visit)}
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
	e := &exam{ctx: t.Context(), healthy: healthy, first: new(persona.Visit)}
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
