package handshake

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"postern/internal/safetext"
)

// rows returns the lines of the diagram proper, below its head.
func (t *Transcript) rows() []row {
	var rows []row
	completing := t.completingMessage()
	for i := range t.Messages {
		rows = append(rows, t.row(i))
		if i == completing {
			note := "✓ handshake complete"
			if t.presumed() {
				note = "✓ handshake most likely complete"
			}
			rows = append(rows, t.note(i, note))
		}
	}
	if t.Omitted > 0 {
		rows = append(rows, row{label: fmt.Sprintf("… %d more messages, not kept …", t.Omitted)})
	}
	return append(rows, t.endRows()...)
}

// timed reports whether the recording has times. The logs of other programs have none.
func (t *Transcript) timed() bool {
	return !t.Start.IsZero() || len(t.Messages) == 0 || t.Messages[len(t.Messages)-1].At != 0
}

// completingMessage returns the index of the Finished that completed the handshake, -1 if
// none did.
func (t *Transcript) completingMessage() int {
	if !t.Completed {
		return -1
	}
	for i := len(t.Messages) - 1; i >= 0; i-- {
		if t.Messages[i].Type == TypeFinished {
			return i
		}
	}
	return -1
}

// endRows marks a failure, on the lifeline of the side that ended the connection.
func (t *Transcript) endRows() []row {
	if !t.failed() {
		return nil
	}
	lines := wrap(t.DescribeEnd(), arrowWidth-len("  "))
	rows := make([]row, len(lines))
	for i, line := range lines {
		rows[i] = row{kind: failureRow, label: line, from: t.End.By}
	}
	if t.End.At > 0 {
		rows[0].time = elapsed(t.End.At)
	}
	rows[0].ends = [2]bool{t.End.By != Server, t.End.By != Client}
	return rows
}

// legend explains the signs that the diagram uses: brackets for messages that shared a write,
// and the arrows of encrypted messages.
func (t *Transcript) legend() (writes, encrypted string) {
	var inferred bool
	for i, m := range t.Messages {
		if t.sameWrite(i, i+1) {
			writes = "sent in one write"
		}
		if m.Encrypted {
			encrypted = "encrypted"
		}
		inferred = inferred || m.Inferred
	}
	if inferred {
		encrypted = "encrypted, named by order and size"
	}
	return writes, encrypted
}

// A row is a line of the diagram.
type row struct {
	time, size string
	kind       rowKind
	label      string
	from       Side // of a message its sender, of a failure who ended the connection
	bracket    position
	side       Side    // of the bracket
	cut        bool    // the message is incomplete
	ends       [2]bool // the lifelines that end with a cross
}

// A rowKind says what a row shows.
type rowKind uint8

const (
	noteRow rowKind = iota // text, or nothing
	messageRow
	encryptedRow
	earlyRow // a session ticket before the client's Finished
	failureRow
)

// A position is that of a row in the bracket around the messages of one write.
type position uint8

const (
	writeNone position = iota // there is no bracket
	writeFirst
	writeMiddle
	writeLast
)

// row returns the row of the i-th message.
func (t *Transcript) row(i int) row {
	m := &t.Messages[i]
	r := row{kind: messageRow, label: safetext.Shorten(t.label(i), maxLabel), from: m.From, cut: m.Missing > 0, side: m.From}
	if m.Size > 0 { // the logs of other programs may not have it
		r.size = safetext.Shorten(strconv.Itoa(m.Size), sizeWidth-1)
	}
	if t.timed() && (!t.sameWrite(i-1, i) || m.At != t.Messages[i-1].At) {
		r.time = elapsed(m.At)
	}
	switch {
	case m.From != Client && m.From != Server:
		r.kind = noteRow
	case t.IsEarlyTicket(i):
		r.kind = earlyRow
	case m.Encrypted:
		r.kind = encryptedRow
	}
	if r.kind != noteRow {
		r.bracket = t.position(i)
	}
	return r
}

func (t *Transcript) label(i int) string {
	switch m := &t.Messages[i]; {
	case m.isGap() && !t.Gaps.IsZero():
		return "not captured"
	case m.Type == TypeUnknown:
		return "unknown record"
	case m.Missing > 0:
		return fmt.Sprintf("%s, %d bytes missing", m.Type, m.Missing)
	case t.IsEarlyTicket(i):
		return "NewSessionTicket ← before the client's Finished"
	case m.Type == TypeNotTLS && slices.IndexFunc(t.Messages, func(m Message) bool { return m.Type == TypeNotTLS }) == i:
		return `not TLS: "` + escape(string(t.NotTLS)) + `"`
	case m.Type == TypeNotTLS:
		return "not TLS"
	case m.Alert != nil && m.Alert.Fatal:
		return "Alert: " + m.Alert.Description.String() + ", fatal"
	case m.Alert != nil:
		return "Alert: " + m.Alert.Description.String()
	default:
		return m.Type.String()
	}
}

// position returns where in its write the i-th message is.
func (t *Transcript) position(i int) position {
	before, after := t.sameWrite(i-1, i), t.sameWrite(i, i+1)
	switch {
	case before && after:
		return writeMiddle
	case before:
		return writeLast
	case after:
		return writeFirst
	}
	return writeNone
}

// sameWrite reports whether two messages shared a write.
func (t *Transcript) sameWrite(i, j int) bool {
	if i < 0 || j >= len(t.Messages) {
		return false
	}
	a, b := &t.Messages[i], &t.Messages[j]
	return a.Write == b.Write && a.From == b.From && a.Write > 0
}

// note returns a row of text after the i-th message, with a bracket that continues.
func (t *Transcript) note(i int, text string) row {
	r := row{label: text}
	if t.sameWrite(i, i+1) {
		r.bracket, r.side = writeMiddle, t.Messages[i].From
	}
	return r
}

// elapsed formats a time since the start, in at most timeWidth columns.
func elapsed(d time.Duration) string {
	switch {
	case d < time.Second:
		return safetext.Shorten(fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)), timeWidth)
	case d < time.Hour:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return safetext.Shorten(fmt.Sprintf("%.1f h", d.Hours()), timeWidth)
}
