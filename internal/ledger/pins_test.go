package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"postern/internal/fallback"
	"postern/sessionticket"
)

func TestServerGetsPins(t *testing.T) {
	t.Parallel()
	path := empty(t)
	calls := make(chan []fallback.Pin, 10)
	l := Open(path, Options{Pins: report(calls)})
	if pins := <-calls; len(pins) != 0 {
		t.Errorf("got pins %v at the start, want none", pins)
	}
	a := fallback.Pin{Network: netip.MustParsePrefix("192.0.2.0/24"), Mode: sessionticket.TLS12, Why: "an old gateway", Since: noon}
	b := fallback.Pin{Network: netip.MustParsePrefix("2001:db8::/48"), Mode: sessionticket.Stock, Why: "a test", Since: noon}
	changed := a
	changed.Mode, changed.Why = sessionticket.NoTicket, "it resumes badly"
	for _, pin := range []fallback.Pin{a, b, changed} {
		l.AddHandshake(success("meanwhile"))
		if err := SetPin(t.Context(), path, pin); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want ...fallback.Pin) {
		t.Helper()
		for {
			if pins := <-calls; reflect.DeepEqual(pins, want) {
				return
			}
		}
	}
	expect(changed, b)
	if err := RemovePin(t.Context(), path, b.Network, noon); err != nil {
		t.Fatal(err)
	}
	expect(changed)
	if err := RemovePin(t.Context(), path, b.Network, noon); !errors.Is(err, ErrNoPin) {
		t.Errorf("removing it twice: %v, want ErrNoPin", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = Open(path, Options{Pins: report(calls)})
	defer l.Close()
	if pins := <-calls; !reflect.DeepEqual(pins, []fallback.Pin{changed}) {
		t.Errorf("after a restart: pins %v", pins)
	}
}

// report returns an [Options].Pins that sends pins to calls.
func report(calls chan<- []fallback.Pin) func([]fallback.Pin) []fallback.Decision {
	return func(pins []fallback.Pin) []fallback.Decision {
		calls <- pins
		return nil
	}
}

// A pinHost is a host of a fleet whose operator changes pins.
type pinHost struct {
	t     *testing.T
	path  string
	clock time.Time
	*Ledger
}

func newPinHost(t *testing.T, name string, clock time.Time) *pinHost {
	h := &pinHost{t: t, path: filepath.Join(t.TempDir(), name), clock: clock}
	h.Ledger = opened(t, h.path, Options{Host: name})
	return h
}

func (h *pinHost) pin(network netip.Prefix, mode sessionticket.Mode) {
	h.t.Helper()
	if err := SetPin(h.t.Context(), h.path, fallback.Pin{Network: network, Mode: mode, Why: "a trial", Since: h.clock}); err != nil {
		h.t.Fatal(err)
	}
}

// unpin removes a pin, if there is one.
func (h *pinHost) unpin(network netip.Prefix) {
	h.t.Helper()
	if err := RemovePin(h.t.Context(), h.path, network, h.clock); err != nil && !errors.Is(err, ErrNoPin) {
		h.t.Fatal(err)
	}
}

func (h *pinHost) changes() []fallback.PinChange {
	h.t.Helper()
	changes, err := h.PinChanges(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return changes
}

func (h *pinHost) take(changes []fallback.PinChange) {
	h.t.Helper()
	if err := h.TakePins(h.t.Context(), changes); err != nil {
		h.t.Fatal(err)
	}
}

// of returns the mode of a network's pin, empty if there is none.
func (h *pinHost) of(network netip.Prefix) string {
	h.t.Helper()
	pins, err := reader(h.t, h.path).Pins(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, pin := range pins {
		if pin.Network == network {
			return pin.Mode.String()
		}
	}
	return ""
}

// The clock of mx1 is an hour behind that of mx0. What its operator does with a pin of mx0 holds all the
// same, at both hosts, and after both have lost touch.
func TestOperatorChangesAPinOfAHostWhoseClockIsAhead(t *testing.T) {
	t.Parallel()
	network := netip.MustParsePrefix("192.0.2.0/24")
	ahead, behind := newPinHost(t, "mx0", noon), newPinHost(t, "mx1", noon.Add(-time.Hour))
	ahead.pin(network, sessionticket.TLS12)
	first := ahead.changes()
	behind.take(first)
	if got := behind.of(network); got != "tls12" {
		t.Fatalf("mx1 has %q, want the pin of mx0", got)
	}
	behind.unpin(network)
	behind.take(first) // again, as after a lost connection
	if got := behind.of(network); got != "" {
		t.Errorf("mx1 has %q, want the pin removed as its operator did", got)
	}
	ahead.take(behind.changes())
	if got := ahead.of(network); got != "" {
		t.Errorf("mx0 has %q, want the pin removed", got)
	}
	behind.pin(network, sessionticket.NoTicket)
	ahead.take(behind.changes())
	if got := ahead.of(network); got != "no-ticket" {
		t.Errorf("mx0 has %q, want the new pin", got)
	}
}

// Whatever operators do at hosts whose clocks differ, and in whatever order and however often the hosts
// learn of it, all have the same pins in the end. If an operator knew all changes, theirs is the last.
func TestHostsComeToTheSamePins(t *testing.T) {
	t.Parallel()
	hosts := []*pinHost{newPinHost(t, "mx0", noon), newPinHost(t, "mx1", noon.Add(-7*time.Minute)), newPinHost(t, "mx2", noon.Add(time.Hour))}
	for round := range 40 {
		network := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(round), 0}), 24)
		random := rand.New(rand.NewPCG(1, uint64(round)))
		spread := func(most int) {
			for range most {
				from := hosts[random.IntN(len(hosts))].changes()
				random.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
				hosts[random.IntN(len(hosts))].take(from)
			}
		}
		for range 6 {
			h := hosts[random.IntN(len(hosts))]
			switch random.IntN(3) {
			case 0:
				h.unpin(network)
			default:
				h.pin(network, sessionticket.Mode(random.IntN(4)))
			}
			h.clock = h.clock.Add(time.Duration(random.IntN(3)) * time.Millisecond) // or the same time
			spread(random.IntN(3))
		}
		same := func(what string) {
			t.Helper()
			want := hosts[0].changes()
			for i, h := range hosts[1:] {
				if got := h.changes(); !reflect.DeepEqual(got, want) {
					t.Fatalf("round %d: %s, mx%d has\n%+v\nand mx0\n%+v", round, what, i+1, got, want)
				}
			}
		}
		all := slices.Concat(hosts[0].changes(), hosts[1].changes(), hosts[2].changes())
		for _, h := range hosts {
			h.take(all)
		}
		same("with all changes")
		last, want := hosts[round%len(hosts)], sessionticket.Mode(round%4)
		last.pin(network, want)
		for _, h := range hosts {
			h.take(last.changes())
		}
		same("after the last change")
		if got := hosts[0].of(network); got != want.String() {
			t.Fatalf("round %d: the pin is %q, want %v, which was set when all others were known", round, got, want)
		}
	}
}

// The server has what another host changed when TakePins returns, and keeps it in a new file if its own
// is lost, also that a pin was removed.
func TestServerGetsPinsOfOtherHosts(t *testing.T) {
	t.Parallel()
	path := empty(t)
	calls := make(chan []fallback.Pin, 10)
	l := opened(t, path, Options{Host: "mx0", Pins: report(calls)})
	<-calls // none
	a := fallback.PinChange{Pin: fallback.Pin{Network: netip.MustParsePrefix("192.0.2.0/24"), Mode: sessionticket.TLS12, Why: "a trial", Since: noon}, Changed: noon, Host: "mx1"}
	removed := fallback.PinChange{Pin: fallback.Pin{Network: netip.MustParsePrefix("2001:db8::/48")}, Removed: true, Changed: noon, Host: "mx2"}
	if err := l.TakePins(t.Context(), []fallback.PinChange{a, removed}); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-calls:
		if !reflect.DeepEqual(got, []fallback.Pin{a.Pin}) {
			t.Errorf("the server got %v, want %v", got, a.Pin)
		}
	default:
		t.Error("the server did not get the pin")
	}
	if err := l.TakePins(t.Context(), []fallback.PinChange{a}); err != nil || len(calls) > 0 {
		t.Errorf("the same change again: %v, and %d calls", err, len(calls))
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got, err := l.PinChanges(t.Context()); err != nil || fmt.Sprint(got) != fmt.Sprint([]fallback.PinChange{a, removed}) {
		t.Errorf("in a new file: %v, %v; want both changes", got, err)
	}
}
