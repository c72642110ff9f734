package probe

import (
	"strings"
	"testing"

	"postern/internal/persona"
)

func TestWhetherTheServerRecognisesTheProbeIsSaid(t *testing.T) {
	t.Parallel()
	known, unknown := &persona.Result{Stage: persona.AfterTLS, Recognised: true}, &persona.Result{Stage: persona.AtHandshake}
	early := &persona.Result{Stage: persona.AtConnect} // which no server could recognise
	message := &persona.TestMessage{To: "user@mx.test"}
	runs := func(results ...*persona.Result) (all []Run) {
		for _, r := range results {
			all = append(all, Run{Persona: &persona.Persona{ID: "p"}, Result: r})
		}
		return all
	}
	for name, tt := range map[string]struct {
		probe    *addressProbe
		severity Severity
		title    string
	}{
		"recognised":               {&addressProbe{first: known, runs: runs(known, early)}, OK, "recognises the probe, and keeps it apart from senders"},
		"recognised, and delivers": {&addressProbe{first: known, runs: runs(unknown, known), message: message}, OK, "except for the run that delivers"},
		"delivers alone":           {&addressProbe{first: unknown, runs: runs(unknown), message: message, alone: true}, OK, "counts as a sender"},
		"no key":                   {&addressProbe{first: unknown, runs: runs(unknown)}, Notice, "treats the probe as a sender"},
		"one of two servers":       {&addressProbe{first: known, runs: runs(known, unknown, known)}, Notice, "treats 1 of 3 runs as a sender's"},
	} {
		p := tt.probe
		p.software.Name = "Postern"
		if found := checkRecognised(p); len(found) != 1 || found[0].Severity != tt.severity || !strings.Contains(found[0].Title, tt.title) {
			t.Errorf("%s: %+v", name, found)
		}
		p.software.Name = "Postfix"
		if found := checkRecognised(p); found != nil {
			t.Errorf("%s: of another server: %+v", name, found)
		}
	}
}
