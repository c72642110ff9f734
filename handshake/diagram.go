package handshake

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"postern/internal/safetext"
)

// DiagramOptions are the options of [Transcript.Diagram].
type DiagramOptions struct {
	ASCII    bool           // use ASCII only, for terminals without box-drawing characters
	Location *time.Location // time zone of the date; nil means UTC
}

// Diagram returns t as a message sequence diagram: the client's lifeline on the left, the
// server's on the right, an arrow for each message, a bracket around those that shared a
// write, and a cross where the handshake failed. Above it are what the client offered and
// the server chose, below it how the connection ended.
//
// Lines have at most 80 columns and end in LF. Text from the peer, such as the SNI, is
// escaped as in a Go string, so it adds no control characters and nothing outside ASCII.
// Diagram accepts any Transcript, even one that no recorder makes.
func (t *Transcript) Diagram(o DiagramOptions) string {
	lines := append(t.header(o.Location), "")
	lines = append(lines, t.rows()...)
	lines = append(lines, "")
	lines = append(lines, t.footer()...)
	diagram := strings.Join(lines, "\n") + "\n"
	if o.ASCII {
		return toASCII.Replace(diagram)
	}
	return diagram
}

// toASCII replaces each character by one, so that the columns stay aligned.
var toASCII = strings.NewReplacer(
	"─", "-", "┄", ".", "═", "=", "│", "|", "├", "+", "┤", "+", "╞", "+", "╡", "+",
	"▶", ">", "◀", "<", "╳", "x", "┌", ",", "└", "`", "┐", ".", "┘", "'",
	"✗", "X", "✓", "*", "←", "-", "…", "~",
)

const (
	columns    = 80
	labelWidth = 10
)

// header describes both ends, what the client offered and what the server chose.
func (t *Transcript) header(location *time.Location) []string {
	if location == nil {
		location = time.UTC
	}
	recorded := t.View.describe()
	if !t.Start.IsZero() {
		recorded = t.Start.In(location).Format("2 January 2006 15:04:05 MST") + ", " + recorded
	}
	lines := field("recorded", escape(recorded))
	lines = append(lines, field("client", append([]string{describeAddress(t.Client)}, t.describeClientHello()...)...)...)
	return append(lines, field("server", describeAddress(t.Server), t.describeServerHello())...)
}

// footer describes how the connection ended and what the client did with it.
func (t *Transcript) footer() []string {
	lines := field("ended", t.describeResult())
	lines = append(lines, field("then", t.Use.describe())...)
	if !t.Completed && t.End.Kind == EndOpen || t.failed() && t.End.Kind != EndAlert {
		lines = append(lines, field("acks", t.Acknowledged.describe())...)
	}
	if t.End.Err != "" {
		lines = append(lines, field("error", safetext.Shorten(escape(t.End.Err), 3*(columns-labelWidth)))...)
	}
	return lines
}

// field sets text beside a label, each paragraph on lines of its own. Empty ones are left
// out.
func field(label string, paragraphs ...string) []string {
	var lines []string
	for _, paragraph := range paragraphs {
		if paragraph == "" {
			continue
		}
		for _, line := range wrap(paragraph, columns-labelWidth) {
			lines = append(lines, fmt.Sprintf("%-*s%s", labelWidth, label, line))
			label = ""
		}
	}
	return lines
}

// The columns of the diagram: time, bracket, lifeline, arrow, lifeline, bracket, size.
const (
	timeWidth  = 9
	sizeWidth  = 8
	arrowWidth = columns - timeWidth - sizeWidth - len(" [ || ]")
	maxLabel   = arrowWidth - len("-- ") - len(" ->")
)

// rows returns the lines of the diagram proper.
func (t *Transcript) rows() []string {
	title := "client" + pad("server", " ", len("client")-arrowWidth-len("||"))
	timeTitle := "time"
	if !t.timed() {
		timeTitle = ""
	}
	lines := []string{
		fmt.Sprintf("%*s   %s%*s", timeWidth, timeTitle, title, 2+sizeWidth, "bytes"),
		row{lifelines: plain}.String(),
	}
	add := func(r row) { lines = append(lines, r.String()) }
	completing := t.completingMessage()
	for i := range t.Messages {
		add(t.row(i))
		if i == completing {
			note := "✓ handshake complete"
			if t.presumed() {
				note = "✓ handshake most likely complete"
			}
			add(t.note(i, note))
		}
	}
	if t.Omitted > 0 {
		add(row{lifelines: plain, arrow: centred(fmt.Sprintf("… %d more messages, not kept …", t.Omitted))})
	}
	for _, r := range t.endRows() {
		add(r)
	}
	return append(lines, t.legend()...)
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
		rows[i] = row{lifelines: plain, arrow: " " + line}
		switch t.End.By {
		case Server:
			rows[i].arrow = pad(line+" ", " ", -arrowWidth)
		case UnknownSide:
			rows[i].arrow = centred(line)
		}
	}
	if t.End.At > 0 {
		rows[0].time = elapsed(t.End.At)
	}
	if t.End.By != Server {
		rows[0].lifelines[0] = "✗"
	}
	if t.End.By != Client {
		rows[0].lifelines[1] = "✗"
	}
	return rows
}

// legend explains the signs that the diagram uses.
func (t *Transcript) legend() []string {
	var signs []string
	var encrypted, inferred, shared bool
	for i, m := range t.Messages {
		encrypted, inferred = encrypted || m.Encrypted, inferred || m.Inferred
		shared = shared || t.sameWrite(i, i+1)
	}
	if shared {
		signs = append(signs, "┐┘ sent in one write")
	}
	switch {
	case inferred:
		signs = append(signs, "┄┄ encrypted, named by order and size")
	case encrypted:
		signs = append(signs, "┄┄ encrypted")
	}
	if len(signs) == 0 {
		return nil
	}
	return []string{"", strings.Repeat(" ", timeWidth+3) + strings.Join(signs, "   ")}
}

// A row is a line of the diagram.
type row struct {
	time, size  string
	left, right string // brackets around messages that shared a write
	lifelines   [2]string
	arrow       string
}

func (r row) String() string {
	line := fmt.Sprintf("%*s %1s %s%s%s %1s%*s", timeWidth, r.time, r.left, r.lifelines[0],
		pad(r.arrow, " ", arrowWidth), r.lifelines[1], r.right, sizeWidth, r.size)
	return strings.TrimRight(line, " ")
}

// plain are lifelines that no arrow touches.
var plain = [2]string{"│", "│"}

// row returns the row of the i-th message.
func (t *Transcript) row(i int) row {
	m := &t.Messages[i]
	r := row{lifelines: plain}
	if m.Size > 0 { // the logs of other programs may not have it
		r.size = safetext.Shorten(strconv.Itoa(m.Size), sizeWidth-1)
	}
	if t.timed() && (!t.sameWrite(i-1, i) || m.At != t.Messages[i-1].At) {
		r.time = elapsed(m.At)
	}
	label := safetext.Shorten(t.label(i), maxLabel)
	line, tails := t.arrowLine(i)
	switch m.From {
	case Client:
		r.lifelines[0], r.left = tails[0], t.bracket(i, "┌", "└")
		r.arrow = pad(line+line+" "+label+" ", line, arrowWidth-1) + arrowHead(m, "▶")
	case Server:
		r.lifelines[1], r.right = tails[1], t.bracket(i, "┐", "┘")
		r.arrow = arrowHead(m, "◀") + pad(" "+label+" "+line+line, line, 1-arrowWidth)
	default:
		r.arrow = centred(label)
	}
	return r
}

// arrowLine returns the line of the i-th message's arrow, and how it leaves either
// lifeline.
func (t *Transcript) arrowLine(i int) (line string, tails [2]string) {
	switch m := &t.Messages[i]; {
	case t.IsEarlyTicket(i):
		return "═", [2]string{"╞", "╡"}
	case m.Encrypted:
		return "┄", [2]string{"├", "┤"}
	}
	return "─", [2]string{"├", "┤"}
}

// arrowHead returns head, or a cross if the message is incomplete.
func arrowHead(m *Message, head string) string {
	if m.Missing > 0 {
		return "╳"
	}
	return head
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

// bracket returns the i-th message's part of the bracket around its write.
func (t *Transcript) bracket(i int, first, last string) string {
	before, after := t.sameWrite(i-1, i), t.sameWrite(i, i+1)
	switch {
	case before && after:
		return "│"
	case before:
		return last
	case after:
		return first
	}
	return ""
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
	r := row{lifelines: plain, arrow: centred(text)}
	if t.sameWrite(i, i+1) && t.Messages[i].From == Client {
		r.left = "│"
	} else if t.sameWrite(i, i+1) {
		r.right = "│"
	}
	return r
}

func centred(s string) string {
	return pad(pad(s, " ", -(arrowWidth+len([]rune(s)))/2), " ", arrowWidth)
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

// wrap breaks text at spaces, and within a word that is wider than a line.
func wrap(text string, width int) []string {
	var lines []string
	for utf8.RuneCountInString(text) > width {
		runes := []rune(text)
		end := width
		for end > 0 && runes[end] != ' ' {
			end--
		}
		if end == 0 {
			end = width
		}
		lines = append(lines, string(runes[:end]))
		text = strings.TrimLeft(string(runes[end:]), " ")
	}
	return append(lines, text)
}

// pad fills s with fill to width on its right, or its left if width is negative.
func pad(s, fill string, width int) string {
	missing := max(width, -width) - utf8.RuneCountInString(s)
	if missing <= 0 {
		return s
	}
	if width < 0 {
		return strings.Repeat(fill, missing) + s
	}
	return s + strings.Repeat(fill, missing)
}
