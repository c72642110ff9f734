package doctor

import (
	"context"

	"postern/internal/persona"
	"postern/internal/probe"
)

// listeners connects to the server as a healthy sender does.
func (e *examination) listeners(ctx context.Context) {
	for _, address := range e.addresses {
		prober := probe.Prober{Key: e.options.Key, Alone: true, Personas: healthy()}
		report, err := prober.Probe(ctx, address.String())
		if err != nil {
			e.add(probe.Finding{ID: "unreachable", Severity: probe.Unclear, Title: "Cannot connect to " + address.String(), Evidence: []string{err.Error()}})
			continue
		}
		run := report.Hosts[0].Addresses[0].Runs[0]
		if run.Outcome == probe.Completed {
			e.ok("starttls", "A sender completes STARTTLS on "+address.String())
			continue
		}
		e.add(probe.Finding{ID: "starttls", Severity: probe.Critical, Title: "A healthy sender fails on " + address.String(), Evidence: []string{run.Reason()},
			Transcript: run.Transcript, Advice: do("Postern", "Look at its log: journalctl -u postern.")})
	}
}

// healthy is the sender without peculiarities.
func healthy() []*persona.Persona {
	p, _ := persona.Find("healthy-go")
	return []*persona.Persona{p}
}
