package ledger

import (
	"errors"
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"
)

func TestServerHearsOfPins(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	told := make(chan []Pin, 10)
	l := Open(path, Options{Pins: func(pins []Pin) { told <- pins }})
	if pins := <-told; len(pins) != 0 {
		t.Errorf("told of %v at the start, want none", pins)
	}
	a := Pin{Network: netip.MustParsePrefix("192.0.2.0/24"), Rung: "tls12", Why: "an old gateway", Since: noon}
	b := Pin{Network: netip.MustParsePrefix("2001:db8::/48"), Rung: "stock", Why: "a test", Since: noon}
	changed := a
	changed.Rung, changed.Why = "no-ticket", "it resumes badly"
	for _, pin := range []Pin{a, b, changed} {
		l.Note(success("meanwhile"))
		if err := SetPin(t.Context(), path, pin); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want ...Pin) {
		t.Helper()
		for {
			if pins := <-told; reflect.DeepEqual(pins, want) {
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
	l = Open(path, Options{Pins: func(pins []Pin) { told <- pins }})
	defer l.Close()
	if pins := <-told; !reflect.DeepEqual(pins, []Pin{changed}) {
		t.Errorf("after a restart told of %v", pins)
	}
}
