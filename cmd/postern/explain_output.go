package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"postern/handshake"
	"postern/internal/capture"
	"postern/internal/jsonout"
	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/internal/tlslog"
	"postern/interop"
)

// maxKept bounds the connections that are printed below the summary.
const maxKept = 1000

// An explainOutput explains handshakes, counts them, and prints a summary if there are many.
type explainOutput struct {
	ui              terminal.UI
	json            bool
	all, onlyFailed bool // which to print if there are many; by default those that failed
	diagram         handshake.DiagramOptions

	senders captureSenders

	kept   []explained        // to print below the summary
	left   int                // more than maxKept
	counts [plaintext + 1]int // connections by result
	byCase map[string]int     // those that failed
	total  int                // connections
	begun  int                // those with a transcript
	opened int                // those with messages that keys have opened
}

// An explained is a connection of a capture, or a transcript, with its diagnoses.
type explained struct {
	conversation *capture.Conversation // nil for a transcript
	log          *tlslog.Session       // nil unless read from the log of another program
	transcript   *handshake.Transcript // nil if TLS did not start, or is not known
	diagnoses    []interop.Diagnosis
	result       result
}

// A result is what became of a connection.
type result int

const (
	complete result = iota
	failedKnown
	failedUnknown
	undecided // the recording has too little of it
	plaintext
)

func explain(c *capture.Conversation, t *handshake.Transcript, known interop.Context) explained {
	e := explained{conversation: c, transcript: t, result: complete}
	failed := false
	if t != nil {
		e.diagnoses, failed = known.Diagnose(t)
	} else {
		e.diagnoses = diagnosePlaintext(c)
		failed = len(e.diagnoses) > 0
	}
	switch {
	case failed && len(e.diagnoses) > 0:
		e.result = failedKnown
	case failed:
		e.result = failedUnknown
	case t == nil:
		e.result = plaintext
	case t.Undecided(), !t.Completed && t.End.Kind == handshake.EndOpen:
		e.result = undecided
	case !t.Completed && t.Use == handshake.UseNone: // a scanner that sent no ClientHello
		e.result = plaintext
	}
	return e
}

func (e explained) failed() bool { return e.result == failedKnown || e.result == failedUnknown }

// add counts a connection, and prints it as JSON or keeps it for the end.
func (o *explainOutput) add(e explained) error {
	if o.senders == nil {
		o.senders = make(captureSenders)
	}
	e = o.senders.add(e)
	o.revise(e)
	o.count(e, 1)
	o.total++
	if e.transcript != nil || e.log != nil && e.result != plaintext {
		o.begun++
		if e.transcript != nil && slices.ContainsFunc(e.transcript.Messages, isOpened) {
			o.opened++
		}
	}
	if o.json {
		if o.onlyFailed && !e.failed() || e.transcript == nil && e.log == nil && len(e.diagnoses) == 0 {
			return nil
		}
		return o.ui.JSON(jsonout.NewExplained(e.transcript, e.failed(), e.diagnoses, e.log))
	}
	first := len(o.kept) == 0 && !o.onlyFailed // one connection is always shown
	switch {
	case !first && !o.all && !e.failed():
	case len(o.kept) >= maxKept:
		o.left++
	default:
		o.kept = append(o.kept, e)
	}
	return nil
}

// isOpened reports whether a message was opened with keys. Before TLS 1.3 the types of alerts and
// data are not encrypted.
func isOpened(m handshake.Message) bool {
	switch m.Type {
	case handshake.TypeUnknown, handshake.TypeApplicationData:
		return false
	case handshake.TypeAlert:
		return m.Encrypted && m.Alert != nil
	}
	return m.Encrypted && !m.Inferred
}

// caseID returns the ID of the likeliest case.
func (e explained) caseID() string {
	if len(e.diagnoses) == 0 {
		return "unknown"
	}
	return e.diagnoses[0].Case.ID
}

// print prints what was kept, below a summary if there are many.
func (o *explainOutput) print() {
	if o.total > 1 && !o.json {
		o.summary()
		o.kept = slices.DeleteFunc(o.kept, func(e explained) bool { return !o.all && !e.failed() })
	}
	for i, e := range o.kept {
		if i > 0 || o.total > 1 {
			fmt.Fprintln(o.ui.Out)
		}
		if e.conversation != nil {
			fmt.Fprintf(o.ui.Out, "== %s\n", conversationLine(e.conversation))
		}
		if e.log != nil {
			o.log(e)
			continue
		}
		if e.transcript != nil {
			printExplanation(o.ui, e.transcript, e.diagnoses, e.failed(), o.diagram)
			continue
		}
		explainPlaintext(o.ui, e.conversation)
		for _, d := range e.diagnoses {
			printDiagnosis(o.ui, d, true)
		}
	}
	if o.left > 0 {
		o.ui.Note(fmt.Sprintf("%d more are not shown; --json prints all", o.left))
	}
}

// summary prints how many connections became what.
func (o *explainOutput) summary() {
	failed := o.counts[failedKnown] + o.counts[failedUnknown]
	line := fmt.Sprintf("%d connections: %d complete, %d failed", o.total, o.counts[complete], failed)
	if n := o.counts[undecided]; n > 0 {
		line += fmt.Sprintf(", %d of which too little was recorded", n)
	}
	if n := o.counts[plaintext]; n > 0 {
		line += fmt.Sprintf(", %d without TLS", n)
	}
	fmt.Fprintln(o.ui.Out, line)
	if failed > 0 {
		byNumber := slices.SortedFunc(maps.Keys(o.byCase), func(a, b string) int {
			return cmp.Or(cmp.Compare(o.byCase[b], o.byCase[a]), cmp.Compare(a, b))
		})
		for i, id := range byNumber {
			byNumber[i] = fmt.Sprintf("%s %d", id, o.byCase[id])
		}
		o.ui.Paragraph("failed", strings.Join(byNumber, ", "))
	}
	if !o.all && !o.onlyFailed && failed < o.total {
		o.ui.Note("those that failed are shown; --all shows the others too")
	}
}

// stats notes what of a capture was not read.
func (o *explainOutput) stats(n capture.Stats) {
	unknown := n.UnknownLink.Total()
	if unread := unknown + n.Fragments + n.Malformed; unread > 0 {
		o.ui.Note(fmt.Sprintf("%d of %d packets were not read: %d of unknown link types, %d fragments, %d malformed or truncated (tcpdump -s 0 truncates none)",
			unread, n.Packets, unknown, n.Fragments, n.Malformed))
	}
	if n.Evicted > 0 {
		o.ui.Note(fmt.Sprintf("%s given up before the end: too many were open at once", plural(n.Evicted, "connection was", "connections were")))
	}
	if n.Underway > 0 {
		o.ui.Note(plural(n.Underway, "connection", "connections") + " used TLS already when the capture began: their handshakes are not in it")
	}
	if o.begun == 0 {
		note := fmt.Sprintf("no TLS handshake in %s, %s", plural(n.Connections, "connection", "connections"), plural(n.Packets, "packet", "packets"))
		if len(n.NotTCP) > 0 {
			note += "; not TCP: " + n.NotTCP.String()
		}
		o.ui.Note(note)
	}
}

// status returns the exit status.
func (o *explainOutput) status() error {
	switch {
	case o.counts[failedKnown] > 0:
		return terminal.ExitFailed
	case o.counts[failedUnknown] > 0, o.counts[undecided] == o.begun:
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
