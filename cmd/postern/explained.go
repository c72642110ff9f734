package main

import (
	"fmt"

	"postern/handshake"
	"postern/interop"
)

// An explanation is a handshake with what is known of it.
type explanation struct {
	transcript *handshake.Transcript
	diagnoses  []interop.Diagnosis // the surest first
	failed     bool
}

func explanationOf(transcript *handshake.Transcript) explanation {
	diagnoses, failed := interop.Examine(transcript)
	return explanation{transcript, diagnoses, failed}
}

// explained draws a handshake and says what is known of it.
func (t terminal) explained(e explanation, o handshake.DrawOptions) {
	fmt.Fprint(t.out, e.transcript.Draw(o))
	for _, d := range e.diagnoses {
		fmt.Fprintln(t.out)
		t.diagnosis(d)
	}
	if len(e.diagnoses) == 0 && e.failed {
		fmt.Fprintln(t.out)
		t.paragraph("case", interop.NotKnown)
	}
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

// An explainedJSON is a handshake with what is known of it, as docs/json.md tells
// it.
type explainedJSON struct {
	Failed    bool                  `json:"failed"`
	Cases     []diagnosisJSON       `json:"cases"`
	Handshake *handshake.Transcript `json:"handshake"`
}

type diagnosisJSON struct {
	Case         string            `json:"case"`
	Confidence   float64           `json:"confidence"`
	Observations []observationJSON `json:"observations"`
}

type observationJSON struct {
	Text    string `json:"text"`
	Message int    `json:"message"`
}

func explainedRow(e explanation) explainedJSON {
	return explainedJSON{
		Failed:    e.failed,
		Handshake: e.transcript,
		Cases: each(e.diagnoses, func(d interop.Diagnosis) diagnosisJSON {
			return diagnosisJSON{
				Case: d.Case.ID, Confidence: float64(d.Confidence),
				Observations: each(d.Observations, func(o interop.Observation) observationJSON { return observationJSON(o) }),
			}
		}),
	}
}
