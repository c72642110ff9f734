package probe

// delivered tells what became of the message that was to be brought. Of a sender that
// did not get in personas tells.
func delivered(e *exam) []Finding {
	if e.letter == nil || len(e.visits) == 0 {
		return nil
	}
	v := e.visits[0]
	switch {
	case v.Delivered:
		return []Finding{fine("delivered", "The message to "+quoted(e.letter.To)+" was taken", v.Persona.ID+" brought it")}
	case !v.In:
		return nil
	}
	return []Finding{{
		ID: "not-delivered", Severity: Warning, Transcript: v.Transcript,
		Title:    "The message to " + quoted(e.letter.To) + " was not taken",
		Evidence: []string{clean(v.Err)},
		Advice:   everyone("Look at the reply, and whether the server is for this recipient and lets this sender's address in."),
	}}
}
