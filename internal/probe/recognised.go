package probe

import (
	"postern/internal/persona"
	"postern/interop"
)

// checkRecognised reports whether a Postern recognises the probe, by [Prober.Key].
func checkRecognised(p *addressProbe) []Finding {
	const id = "recognised"
	switch {
	case p.software.Name != "Postern" || p.first.Stage < persona.AtSTARTTLS:
		return nil
	case p.first.Recognised && p.message != nil:
		return []Finding{okFinding(id, "The server recognises the probe, and keeps it apart from senders, except for the run that delivers")}
	case p.first.Recognised:
		return []Finding{okFinding(id, "The server recognises the probe, and keeps it apart from senders")}
	case p.alone && p.message != nil:
		return []Finding{okFinding(id, "A run that delivers is a sender's: the server's fallback learns from it")}
	}
	return []Finding{{
		ID: id, Severity: Notice,
		Title:    "The server takes the probe for a sender: its ledger has the failures, and its fallback learns from them",
		Evidence: []string{"it greets the client as any sender"},
		Advice: []interop.Advice{{Software: "Postern", Action: "If this server is yours, name the file probe.key in its data folder: --probe-key FILE. " +
			"On another machine, copy the file there."}},
	}}
}
