package main

import (
	"fmt"

	"postern/handshake"
	"postern/interop"
)

// explained draws a handshake and says what is known of it. It reports whether a
// case was found, and whether the sender failed at all.
func (t terminal) explained(transcript *handshake.Transcript, o handshake.DrawOptions) (found, failed bool) {
	fmt.Fprint(t.out, transcript.Draw(o))
	diagnoses := interop.Diagnose(transcript)
	for _, d := range diagnoses {
		fmt.Fprintln(t.out)
		t.diagnosis(d)
	}
	failed = interop.Failed(transcript)
	if failed && len(diagnoses) == 0 {
		fmt.Fprintln(t.out)
		t.paragraph("case", interop.NotKnown)
	}
	return len(diagnoses) > 0, failed
}

// diagnosis tells one case as it was found.
func (t terminal) diagnosis(d interop.Diagnosis) {
	t.paragraph("case", fmt.Sprintf("%s: %s", d.Case.ID, d.Case.Title))
	t.paragraph("sure", d.Confidence.String())
	for _, o := range d.Observations {
		t.paragraph("seen", printable(o.Text))
	}
	t.caseText(d.Case)
}

// caseText tells what is known of a case, beyond its title.
func (t terminal) caseText(c *interop.Case) {
	t.paragraph("who", fmt.Sprintf("%s, since %s (%s)", c.Who, c.Since, c.Status))
	t.paragraph("what", c.Explanation)
	t.paragraph("Postern", c.Remedy.Postern)
	for _, a := range c.Remedy.Others {
		t.paragraph(a.Software, a.Do)
	}
	for _, s := range c.Sources {
		fmt.Fprintf(t.out, "%-*s%s\n", margin, "source", s.URL)
	}
}
