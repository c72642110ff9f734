package probe

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"postern/internal/persona"
)

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
	prober.Visited = func(_ netip.AddrPort, over, all int) {
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
