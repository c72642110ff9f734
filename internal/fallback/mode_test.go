package fallback

import (
	"encoding/json"
	"slices"
	"strings"
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
	for _, unknown := range []sessionticket.Mode{5, 200} {
		sel := New(stock)
		if sel.Learn(from("192.0.2.7", "a"), unknown, handshake.Worked, epoch) != nil || sel.Changed() != nil {
			t.Errorf("something was learned of mode %d", unknown)
		}
	}
}

// A stored state survives a change of the modes' order.
func TestStateIsStoredByNamesOfModes(t *testing.T) {
	state := State{Mode: noTicket, Helps: tls12}
	state.Worked[ownWrite], state.Failed[stock], state.Tried[firstWrite] = 7, 2, true
	text, err := json.Marshal(state)
	for _, part := range []string{`"Mode":"no-ticket"`, `"Helps":"tls12"`, `"Worked":{"own-write":7}`, `"Failed":{"stock":2}`, `"Tried":{"first-write":true}`} {
		if err != nil || !strings.Contains(string(text), part) {
			t.Errorf("stored as %s, %v; want it to contain %s", text, err, part)
		}
	}
	if err := json.Unmarshal([]byte(`{"Worked":{"stock":3}}`), &state); err != nil || state.Worked[ownWrite] != 0 || state.Worked[stock] != 3 {
		t.Errorf("read %v, %v; want 3 in stock alone", state.Worked, err)
	}
	if err := json.Unmarshal([]byte(`{"Worked":{"fast":1}}`), &state); err == nil {
		t.Error("a mode that does not exist was read")
	}
}
