package probe

import (
	"strings"
	"testing"

	"postern/internal/persona"
)

// A Postern gives no ticket to a network that has shown that it refuses them, as probes
// do: nobody should look for what is wrong there.
func TestPosternThatGivesNoTicketMayHaveLearnedIt(t *testing.T) {
	t.Parallel()
	for software, want := range map[string]bool{"Postern": true, "mox": false, "": false} {
		e := &exam{software: Software{Name: software}, first: &persona.Visit{In: true}, again: new(persona.Visit)}
		f := resumption(e)[0]
		if f.ID != "no-resumption" || strings.Contains(f.Title, "earlier probes") != want {
			t.Errorf("%q: %s: %s", software, f.ID, f.Title)
		}
		if want && !strings.Contains(f.Advice[0].Do, "postern senders pin") {
			t.Errorf("%q: %s", software, f.Advice[0].Do)
		}
	}
}
