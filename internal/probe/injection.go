package probe

import "postern/interop"

// injectionCase is the case, and the persona, of commands behind STARTTLS.
const injectionCase = "plaintext-after-starttls"

// executed tells whether a command in clear behind STARTTLS was obeyed.
func executed(e *exam) []Finding {
	v := e.visit(injectionCase)
	if v == nil || v.Fate == Untold || e.target.Protocol.Implicit() {
		return nil
	}
	if !v.Executed {
		return []Finding{fine("injection", "A command in clear behind STARTTLS is not executed")}
	}
	known, _ := interop.Find(v.Persona.ID)
	return []Finding{{
		ID: "injection", Severity: Critical, Case: known, Transcript: v.Transcript,
		Title:    "A command in clear behind STARTTLS is executed over TLS (CVE-2011-0411)",
		Evidence: []string{"a NOOP was sent in the same write as STARTTLS, and its reply came"},
		Advice:   e.software.adviceOn(known), Sources: sourcesOf(known),
	}}
}
