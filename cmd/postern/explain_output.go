package main

import (
	"fmt"
	"time"

	"postern/handshake"
	"postern/internal/capture"
	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/interop"
)

// A telling is what explain has told so far.
type telling struct {
	ui                   terminal.UI
	explain              explain
	seen, found, unknown int // handshakes: all, those with a case, those that failed without
}

// conversation tells of one connection of a capture.
func (t *telling) conversation(c *capture.Conversation) error {
	if t.explain.JSON {
		if c.Transcript == nil {
			return nil
		}
		return t.handshake(c.Transcript)
	}
	if t.seen > 0 {
		fmt.Fprintln(t.ui.Out)
	}
	fmt.Fprintf(t.ui.Out, "== %s\n", conversationLine(c))
	if c.Transcript == nil {
		return nil
	}
	return t.handshake(c.Transcript)
}

// conversationLine says who spoke with whom, and what in the clear.
func conversationLine(c *capture.Conversation) string {
	line := fmt.Sprintf("%s  %s → %s", c.Start.Local().Format(time.DateTime), c.Client, c.Server)
	if c.EHLO != "" {
		line += ", calls itself " + safetext.Printable(c.EHLO)
	}
	switch {
	case c.Refusal != "":
		line += ", STARTTLS refused: " + safetext.Printable(c.Refusal)
	case c.Transcript == nil && c.Mail:
		line += ", sends mail without TLS"
	case c.Transcript == nil:
		line += ", without TLS"
	}
	if c.MissingBytes > 0 {
		line += fmt.Sprintf(", %d bytes are missing in the capture", c.MissingBytes)
	}
	return line
}

// handshake tells of one handshake.
func (t *telling) handshake(transcript *handshake.Transcript) error {
	e := explanationOf(transcript)
	t.seen++
	switch {
	case len(e.diagnoses) > 0:
		t.found++
	case e.failed:
		t.unknown++
	}
	if t.explain.JSON {
		return t.ui.JSON(explainedRow(e))
	}
	printExplanation(t.ui, e, handshake.DiagramOptions{ASCII: t.explain.ASCII, Location: time.Local})
	return nil
}

// tally notes what of a capture was not read.
func (t *telling) tally(n capture.Stats) {
	if unread := n.UnknownLink + n.Fragments + n.Malformed; unread > 0 {
		t.ui.Note(fmt.Sprintf("%d of %d packets could not be read: %d of unknown links, %d fragments, %d broken or cut (tcpdump -s 0 cuts none)",
			unread, n.Packets, n.UnknownLink, n.Fragments, n.Malformed))
	}
	if n.Evicted > 0 {
		t.ui.Note(fmt.Sprintf("%d connections were given up to make room for others", n.Evicted))
	}
	if t.seen == 0 {
		t.ui.Note(fmt.Sprintf("no TLS handshake in %d connections, %d packets", n.Connections, n.Packets))
	}
}

// verdict is the exit status.
func (t *telling) verdict() error {
	switch {
	case t.found > 0:
		return terminal.ExitStatus(terminal.ExitFailed)
	case t.unknown > 0, t.seen == 0:
		return terminal.ExitStatus(terminal.ExitUnclear)
	}
	return nil
}

// An explanation is a handshake with what is known of it.
type explanation struct {
	transcript *handshake.Transcript
	diagnoses  []interop.Diagnosis // the surest first
	failed     bool
}

func explanationOf(transcript *handshake.Transcript) explanation {
	diagnoses, failed := interop.Diagnose(transcript)
	return explanation{transcript, diagnoses, failed}
}

// explained draws a handshake and says what is known of it.
func printExplanation(t terminal.UI, e explanation, o handshake.DiagramOptions) {
	fmt.Fprint(t.Out, e.transcript.Diagram(o))
	for _, d := range e.diagnoses {
		fmt.Fprintln(t.Out)
		printDiagnosis(t, d)
	}
	if len(e.diagnoses) == 0 && e.failed {
		fmt.Fprintln(t.Out)
		t.Paragraph("case", interop.NotKnown)
	}
}

// diagnosis tells one case as it was found.
func printDiagnosis(t terminal.UI, d interop.Diagnosis) {
	t.Paragraph("case", fmt.Sprintf("%s: %s", d.Case.ID, d.Case.Title))
	t.Paragraph("sure", d.Confidence.String())
	for _, o := range d.Observations {
		t.Paragraph("seen", safetext.Printable(o.Text))
	}
	printCase(t, d.Case)
}

// caseText tells what is known of a case, beyond its title.
func printCase(t terminal.UI, c *interop.Case) {
	t.Paragraph("who", fmt.Sprintf("%s, since %s (%s)", c.Clients, c.Since, c.Status))
	t.Paragraph("what", c.Explanation)
	t.Paragraph("Postern", c.Remedy.Postern)
	for _, a := range c.Remedy.OtherSoftware {
		t.Paragraph(a.Software, a.Action)
	}
	for _, s := range c.Sources {
		fmt.Fprintf(t.Out, "%-*s%s\n", terminal.Margin, "source", s.URL)
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
