package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/ledger"
	"postern/sessionticket"
)

// A reverseZone has names of addresses, each confirmed. It answers after a while, and counts.
type reverseZone struct {
	mu      sync.Mutex
	names   map[string]string
	wait    time.Duration
	queries atomic.Int64
}

// set changes the names, and how long an answer takes.
func (z *reverseZone) set(wait time.Duration, names map[string]string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.wait, z.names = wait, names
}

func (z *reverseZone) get() (wait time.Duration, names map[string]string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.wait, z.names
}

func (z *reverseZone) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	z.queries.Add(1)
	wait, names := z.get()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(wait):
	}
	if name := names[addr]; name != "" {
		return []string{name}, nil
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

func (z *reverseZone) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	_, names := z.get()
	for addr, name := range names {
		if name == host {
			return []netip.Addr{netip.MustParseAddr(addr)}, nil
		}
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

// begin begins lookups in zone. It returns those found.
func begin(t *testing.T, zone *reverseZone) (*names, func() []ledger.Name) {
	t.Helper()
	found := make(chan ledger.Name, 1000)
	n := newNames(zone, func(name ledger.Name) { found <- name })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { n.run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	return n, func() (all []ledger.Name) {
		for len(found) > 0 {
			all = append(all, <-found)
		}
		return all
	}
}

func TestASenderIsNamedInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := &reverseZone{names: map[string]string{
			"192.0.2.7": "Mail.Sender.Example.", "198.51.100.1": "static-198-51-100-1.provider.example.",
		}, wait: time.Second}
		n, found := begin(t, zone)
		generic := netip.MustParseAddr("198.51.100.1")
		for _, addr := range []netip.Addr{sender, generic, netip.MustParseAddr("203.0.113.1")} {
			if name := n.of(addr, "mail.example"); name != "" {
				t.Errorf("%s has the name %q before a lookup", addr, name)
			}
		}
		n.of(sender, "mail.example") // once is enough
		time.Sleep(2 * time.Second)
		if all := found(); len(all) != 1 || all[0] != (ledger.Name{Network: netip.MustParsePrefix("192.0.2.0/24"), EHLO: "mail.example", Name: "mail.sender.example"}) {
			t.Errorf("found %+v", all)
		}
		if name := n.of(sender, "other.example"); name != "mail.sender.example" {
			t.Errorf("the sender's next session has the name %q", name)
		}
		if name := n.of(generic, ""); name != "" {
			t.Errorf("a customer has its provider's name %q", name)
		}
		if zone.queries.Load() != 3 {
			t.Errorf("%d queries, want one for each address", zone.queries.Load())
		}
		time.Sleep(nameAge)
		n.of(sender, "mail.example")
		synctest.Wait()
		if zone.queries.Load() != 4 {
			t.Errorf("%d queries after a day, want one more", zone.queries.Load())
		}
	})
}

// Sessions are counted by the name of their sender, also those that ended before it was known.
func TestSessionsWaitForTheNameOfTheirSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := &reverseZone{names: map[string]string{"192.0.2.7": "mail.sender.example."}, wait: time.Second}
		n, _ := begin(t, zone)
		unnamed, local := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("127.0.0.1")
		var mu sync.Mutex
		counts := make(map[string]int)
		end := func(addr netip.Addr) {
			n.of(addr, "mail.example")
			n.whenKnown(addr, func(name string) {
				mu.Lock()
				counts[name]++
				mu.Unlock()
			})
		}
		expect := func(when string, named, without int) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if counts["mail.sender.example"] != named || counts[""] != without || len(counts) > 2 {
				t.Errorf("%s: counted %v, want %d with the name and %d without one", when, counts, named, without)
			}
		}
		end(sender)
		end(sender)
		end(unnamed)
		end(local) // is not looked up
		synctest.Wait()
		expect("while it is looked up", 0, 1)
		time.Sleep(2 * time.Second)
		expect("when it is known", 2, 2)
		end(sender)
		expect("the next session", 3, 2)
		time.Sleep(nameAge) // looked up again; the old name counts
		end(sender)
		expect("a day later", 4, 2)

		zone.set(time.Hour, nil) // no answer
		silent := netip.MustParseAddr("198.51.100.1")
		for range maxWaiting + 10 {
			end(silent)
		}
		expect("beyond those that can wait", 4, 2+10)
		time.Sleep(time.Minute)
		expect("without an answer", 4, 2+10+maxWaiting)
	})
}

// A resolver that does not answer costs no session anything, and gets few queries.
func TestAFailingResolverCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := &reverseZone{wait: time.Hour}
		n, found := begin(t, zone)
		start := time.Now()
		for i := range 100_000 {
			n.of(netip.AddrFrom4([4]byte{byte(1 + i>>16), byte(i >> 8), byte(i), 1}), "mail.example")
		}
		if time.Since(start) > 0 {
			t.Errorf("sessions waited %v", time.Since(start))
		}
		synctest.Wait()
		n.mu.Lock() // those that look up go on when their time is over
		known, queued := len(n.known), len(n.queue)
		n.mu.Unlock()
		if known > maxNames || queued > maxNamesQueued {
			t.Errorf("%d names, %d queued", known, queued)
		}
		time.Sleep(time.Minute)
		if queries := zone.queries.Load(); queries > 60/5*nameLookups+nameLookups {
			t.Errorf("%d queries in a minute", queries)
		}
		if all := found(); all != nil {
			t.Errorf("found %v", all)
		}
		// It answers again.
		zone.set(0, map[string]string{"192.0.2.7": "mail.sender.example"})
		time.Sleep(time.Hour)
		n.of(sender, "mail.example")
		synctest.Wait()
		if all := found(); len(all) != 1 {
			t.Errorf("found %v", all)
		}
	})
}

// Loopback and link-local addresses have no name that anybody could confirm.
func TestLocalAddressesAreNotLookedUp(t *testing.T) {
	n := newNames(nil, nil)
	for _, addr := range []string{"127.0.0.1", "::1", "fe80::1%eth0", "::ffff:127.0.0.1"} {
		n.of(netip.MustParseAddr(addr), "mail.example")
	}
	if len(n.queue) > 0 {
		t.Errorf("%d lookups", len(n.queue))
	}
	if name := (*names)(nil).of(sender, ""); name != "" {
		t.Error(name)
	}
}

// A name reaches the ledger, for the session that it came too late for and for later ones.
func TestNamesAreStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	o := open(t, path)
	stored := make(chan bool, 1)
	o.names = newNames(&reverseZone{names: map[string]string{sender.String(): "mail.sender.example"}}, func(n ledger.Name) {
		o.ledger.AddName(n)
		stored <- true
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.ended(t, mailed("FIRST", sessionticket.OwnWrite))
	probe := mailed("PROBE", sessionticket.OwnWrite)
	probe.Probe, probe.Sender = true, netip.MustParseAddrPort("198.51.100.1:25")
	o.ended(t, probe)
	go o.names.run(ctx)
	<-stored
	second := mailed("SECOND", sessionticket.OwnWrite)
	second.JA4 += "x"
	o.ended(t, second)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	senders, err := read(t, path).Senders(t.Context(), ledger.Filter{})
	if err != nil || len(senders) != 2 {
		t.Fatalf("%+v, %v", senders, err)
	}
	for _, s := range senders {
		if s.Name != "mail.sender.example" {
			t.Errorf("%s has the name %q", fmt.Sprint(s.Network, s.Fingerprint), s.Name)
		}
	}
	if len(o.names.known) != 1 {
		t.Errorf("%d addresses are known, want the sender's only", len(o.names.known))
	}
}
