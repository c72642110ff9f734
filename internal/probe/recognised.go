package probe

import (
	"fmt"

	"postern/internal/persona"
	"postern/interop"
)

// checkRecognised reports whether a Postern recognises the probe, by [Prober.Key].
func checkRecognised(p *addressProbe) []Finding {
	const id = "recognised"
	switch {
	case p.software.Name != "Postern" || p.first.Stage < persona.AtSTARTTLS:
		return nil
	case p.alone && p.message != nil:
		return []Finding{okFinding(id, "The run that delivers counts as a sender: the server's fallback learns from it")}
	case !p.first.Recognised:
		return []Finding{{
			ID: id, Severity: Notice,
			Title:    "The server treats the probe as a sender: its ledger has the failures, and its fallback learns from them",
			Evidence: []string{"it greets the client as any sender"},
			Advice: []interop.Advice{{Software: "Postern", Action: "If this server is yours, name the file probe.key in its data folder: --probe-key FILE. " +
				"On another machine, copy the file there."}},
		}}
	}
	if missed := p.notRecognised(); len(missed) > 0 {
		return []Finding{{
			ID: id, Severity: Notice,
			Title:    fmt.Sprintf("The server treats %d of %d runs as a sender's", len(missed), len(p.runs)),
			Evidence: missed,
			Advice: []interop.Advice{{Software: "Postern", Action: "Several servers behind one address need the same key: copy probe.key from one data folder to the others, and restart. " +
				"On a port with TLS from the first byte, handshakes that fail are always a sender's: probe the port with STARTTLS."}},
		}}
	}
	title := "The server recognises the probe, and keeps it apart from senders"
	if p.message != nil {
		title += ", except for the run that delivers"
	}
	return []Finding{okFinding(id, title)}
}

// notRecognised returns the IDs of the personas that the server took for senders.
func (p *addressProbe) notRecognised() (ids []string) {
	for i, r := range p.runs {
		if delivers := i == 0 && p.message != nil; r.Stage >= persona.AtSTARTTLS && !r.Recognised && !delivers {
			ids = append(ids, r.Persona.ID)
		}
	}
	return ids
}
