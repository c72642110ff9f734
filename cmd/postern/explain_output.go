package main

import (
	"fmt"

	"postern/handshake"
	"postern/internal/capture"
	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/interop"
)

// An explainOutput prints explained handshakes and counts them.
type explainOutput struct {
	ui      terminal.UI
	json    bool
	diagram handshake.DiagramOptions

	conversations           int // of a capture
	all, diagnosed, unknown int // handshakes; unknown: failed without a diagnosis
	undecided               int // the capture has too little of them
}

// conversation explains the handshake of a connection, if it has one.
func (o *explainOutput) conversation(c *capture.Conversation) error {
	if !o.json {
		if o.conversations > 0 {
			fmt.Fprintln(o.ui.Out)
		}
		o.conversations++
		fmt.Fprintf(o.ui.Out, "== %s\n", conversationLine(c))
	}
	if c.Transcript == nil {
		return o.plaintext(c)
	}
	return o.handshake(c.Transcript)
}

// handshake explains a handshake.
func (o *explainOutput) handshake(transcript *handshake.Transcript) error {
	diagnoses, failed := interop.Diagnose(transcript)
	o.all++
	switch {
	case failed && len(diagnoses) > 0:
		o.diagnosed++
	case failed:
		o.unknown++
	case transcript.Undecided():
		o.undecided++
	}
	if o.json {
		return o.ui.JSON(explainedJSON{failed, each(diagnoses, toDiagnosisJSON), transcript})
	}
	printExplanation(o.ui, transcript, diagnoses, failed, o.diagram)
	return nil
}

// stats notes what of a capture was not read.
func (o *explainOutput) stats(n capture.Stats) {
	unknown := n.UnknownLink.Total()
	if unread := unknown + n.Fragments + n.Malformed; unread > 0 {
		o.ui.Note(fmt.Sprintf("%d of %d packets were not read: %d of unknown link types, %d fragments, %d malformed or truncated (tcpdump -s 0 truncates none)",
			unread, n.Packets, unknown, n.Fragments, n.Malformed))
	}
	if n.Evicted > 0 {
		o.ui.Note(fmt.Sprintf("%d connections were dropped to bound memory", n.Evicted))
	}
	if n.Underway > 0 {
		o.ui.Note(plural(n.Underway, "connection", "connections") + " used TLS already when the capture began: their handshakes are not in it")
	}
	if o.all == 0 {
		note := fmt.Sprintf("no TLS handshake in %d connections, %d packets", n.Connections, n.Packets)
		if len(n.NotTCP) > 0 {
			note += "; not TCP: " + n.NotTCP.String()
		}
		o.ui.Note(note)
	}
}

// status returns the exit status.
func (o *explainOutput) status() error {
	switch {
	case o.diagnosed > 0:
		return terminal.ExitFailed
	case o.unknown > 0, o.undecided == o.all:
		return terminal.ExitUnclear
	}
	return nil
}

// printExplanation draws a handshake and prints its diagnoses.
func printExplanation(ui terminal.UI, transcript *handshake.Transcript, diagnoses []interop.Diagnosis, failed bool, o handshake.DiagramOptions) {
	fmt.Fprint(ui.Out, transcript.Diagram(o))
	for _, d := range diagnoses {
		fmt.Fprintln(ui.Out)
		printDiagnosis(ui, d, failed)
	}
	if len(diagnoses) == 0 && failed {
		fmt.Fprintln(ui.Out)
		ui.Paragraph("case", "unknown: no case of the catalogue matches this handshake; docs/cases/README.md says how to contribute it")
	}
}

func printDiagnosis(ui terminal.UI, d interop.Diagnosis, failed bool) {
	ui.Paragraph("case", fmt.Sprintf("%s: %s", d.Case.ID, d.Case.Title))
	confidence := d.Confidence.String()
	if !failed {
		confidence += ", if this was a sender with mail; monitors leave so too"
	}
	ui.Paragraph("confidence", confidence)
	for _, observation := range d.Observations {
		ui.Paragraph("evidence", safetext.Printable(observation.Text))
	}
	printCase(ui, d.Case)
}
