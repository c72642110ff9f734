package fallback

import (
	"slices"
	"testing"

	"postern/handshake"
	"postern/sessionticket"
)

func TestOrderHasEveryModeOnce(t *testing.T) {
	for mode := range sessionticket.Mode(255) {
		_, unknown := mode.MarshalText()
		if ordered := int(mode) < modes && slices.Contains(order[:], mode); ordered != (unknown == nil) {
			t.Errorf("%v is in the order: %v", mode, ordered)
		}
	}
}

func TestUnknownModeIsNotLearned(t *testing.T) {
	sel := New(stock)
	if sel.Learn(from("192.0.2.7", "a"), sessionticket.Mode(200), handshake.Worked, epoch) != nil || sel.Changed() != nil {
		t.Error("something was learned of an unknown mode")
	}
}
