package probe

// steady tells whether the server is still there when all have come.
func steady(e *exam) []Finding {
	if e.last == nil || !e.first.In || e.last.In {
		return nil
	}
	f := Finding{
		ID: "stopped", Severity: Unclear,
		Title:    "The server stopped answering while it was examined",
		Evidence: []string{"the last healthy client: " + clean(e.last.Err)},
		Advice:   everyone("It may have gone down, or turn this address away for a while: try again later, or from another address."),
	}
	return []Finding{f}
}
