package fleet

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/fallback"
	"postern/internal/testpeer"
	"postern/sessionticket"
)

func (b *book) PinChanges(context.Context) ([]fallback.PinChange, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.pins)), nil
}

func (b *book) TakePins(_ context.Context, changes []fallback.PinChange) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range changes {
		if known, has := b.pins[c.Pin.Network]; !has || c.After(known) {
			b.pins[c.Pin.Network] = c
		}
	}
	return nil
}

// operator changes a pin at the host, a number of minutes after the first one. Mode Stock is that the
// pin is removed.
func (m *testHost) operator(minute int, network netip.Prefix, mode sessionticket.Mode) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := time.Date(2026, 11, 24, 9, minute, 0, 0, time.UTC)
	m.pins[network] = fallback.PinChange{
		Pin: fallback.Pin{Network: network, Mode: mode, Since: at}, Removed: mode == sessionticket.Stock, Changed: at, Host: m.name,
	}
}

// awaitPins waits until the host has these pins, by their networks.
func (m *testHost) awaitPins(want map[netip.Prefix]sessionticket.Mode) {
	m.t.Helper()
	await(m.t, func() error {
		got := make(map[netip.Prefix]sessionticket.Mode)
		changes, err := m.PinChanges(m.t.Context())
		for _, c := range changes {
			if !c.Removed {
				got[c.Pin.Network] = c.Pin.Mode
			}
		}
		if err == nil && !maps.Equal(got, want) {
			err = fmt.Errorf("%s has pins %v, want %v", m.name, got, want)
		}
		return err
	})
}

// What operators do at hosts while these cannot reach NATS is neither lost nor undone, nor if the host
// starts again meanwhile: the later change of each pin holds at all hosts.
func TestPinsChangedWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a, b := newTestHost(t, "a", servers), newTestHost(t, "b", servers)
	one, two, three := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24")
	a.operator(0, one, sessionticket.TLS12)
	a.operator(0, two, sessionticket.TLS12)
	pinned := map[netip.Prefix]sessionticket.Mode{one: sessionticket.TLS12, two: sessionticket.TLS12}
	b.awaitPins(pinned)
	b.operator(1, one, sessionticket.Stock) // before the other host could know
	b.operator(2, one, sessionticket.TLS12)
	servers[0].Kill()
	b.operator(3, one, sessionticket.Stock)
	a.operator(4, two, sessionticket.Stock)
	b.operator(5, two, sessionticket.NoTicket)
	a.operator(6, three, sessionticket.NoTicket)
	b.stop()
	servers[0].Start()
	b.start(servers)
	for _, m := range []*testHost{a, b, newTestHost(t, "c", servers)} {
		m.awaitPins(map[netip.Prefix]sessionticket.Mode{two: sessionticket.NoTicket, three: sessionticket.NoTicket})
	}
}

// Who runs NATS can put back an older value, overwrite one or delete it. The hosts store the later one again.
func TestPinsOutliveWhoRunsNATS(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a := newTestHost(t, "a", servers)
	network := netip.MustParsePrefix("192.0.2.0/24")
	a.operator(0, network, sessionticket.TLS12)
	conn, err := nats.Connect(servers[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	name := a.fleet.sealer.name("pin " + network.String())
	var kv jetstream.KeyValue
	stored := func(besides uint64) (entry jetstream.KeyValueEntry) {
		t.Helper()
		await(t, func() error {
			if kv, err = js.KeyValue(t.Context(), "test-pins"); err != nil {
				return err
			}
			if entry, err = kv.Get(t.Context(), name); err == nil && entry.Revision() <= besides {
				err = fmt.Errorf("NATS has revision %d", entry.Revision())
			}
			return err
		})
		return entry
	}
	old := stored(0)
	a.operator(1, network, sessionticket.NoTicket)
	revision := stored(old.Revision()).Revision()
	for _, value := range [][]byte{old.Value(), []byte("nothing that opens")} {
		if revision, err = kv.Put(t.Context(), name, value); err != nil {
			t.Fatal(err)
		}
		revision = stored(revision).Revision()
	}
	if err := kv.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	stored(revision)
	newTestHost(t, "b", servers).awaitPins(map[netip.Prefix]sessionticket.Mode{network: sessionticket.NoTicket})
}
