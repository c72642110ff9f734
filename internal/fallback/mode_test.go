package fallback

import (
	"strings"
	"testing"

	"postern/handshake"
)

func TestRungTextIsReadBack(t *testing.T) {
	for want := range Rung(rungs) {
		text, err := want.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got Rung
		if err := got.UnmarshalText(text); err != nil || got != want {
			t.Errorf("%s is read as %v, %v", text, got, err)
		}
	}
}

func TestUnknownRungIsRefusedWithTheNames(t *testing.T) {
	got := OwnWrite
	err := got.UnmarshalText([]byte("Stock"))
	if err == nil || !strings.Contains(err.Error(), `"Stock"; use stock, first-write, own-write, no-ticket or tls12`) || got != OwnWrite {
		t.Errorf("%v, %v", got, err)
	}
	if text, err := Rung(rungs).MarshalText(); err == nil {
		t.Errorf("a rung that is none is written as %q", text)
	}
	if l := New(Stock); l.Learn(from("192.0.2.7", "a"), Rung(200), handshake.Worked, epoch) != nil || l.Changed() != nil {
		t.Error("something was learned of a rung that is none")
	}
}
