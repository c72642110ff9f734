package ledger

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"

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
	if err := RemovePin(t.Context(), path, b.Network); err != nil {
		t.Fatal(err)
	}
	expect(changed)
	if err := RemovePin(t.Context(), path, b.Network); !errors.Is(err, ErrNoPin) {
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
