package handshake

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"postern/internal/safetext"
)

// DiagramOptions says how [Transcript.Diagram] draws.
type DiagramOptions struct {
	ASCII    bool           // nothing but ASCII, for where box characters do not show
	Location *time.Location // of the date in the head; nil: UTC
}

// Diagram gives t as the ladder that people draw on whiteboards: the client's lane left, the
// server's right, an arrow a message, a bracket at those that shared a write, and a cross
// where it ended badly. Above stand what was offered and chosen, below how it ended.
//
// Lines are of at most 80 columns and end in LF. What strangers wrote, such as the name
// asked for, is shown as in a Go string: no control character and nothing outside ASCII
// comes from them. Any Transcript can be drawn, one that no recorder makes too.
func (t *Transcript) Diagram(o DiagramOptions) string {
	parts := [][]string{t.head(o.Location), t.ladder(), t.foot()}
	var lines []string
	for _, part := range parts {
		lines = append(lines, "")
		lines = append(lines, part...)
	}
	drawing := strings.Join(lines[1:], "\n") + "\n"
	if o.ASCII {
		return inASCII.Replace(drawing)
	}
	return drawing
}

// inASCII keeps each character's width, so that lines stay as long as they are.
var inASCII = strings.NewReplacer(
	"─", "-", "┄", ".", "═", "=", "│", "|", "├", "+", "┤", "+", "╞", "+", "╡", "+",
	"▶", ">", "◀", "<", "╳", "x", "┌", ",", "└", "`", "┐", ".", "┘", "'",
	"✗", "X", "✓", "*", "←", "-", "…", "~",
)

// head says who spoke, what the client offered and what the server chose.
func (t *Transcript) head(place *time.Location) []string {
	if place == nil {
		place = time.UTC
	}
	recorded := t.Start.In(place).Format("2 January 2006 15:04:05 MST") + ", " + t.View.place()
	lines := field("recorded", escape(recorded))
	lines = append(lines, field("client", sentences(address{t.Client}.words(), t.ClientHello.words()))...)
	return append(lines, field("server", sentences(address{t.Server}.words(), t.ServerHello.words()))...)
}

// foot says how it ended and what came after.
func (t *Transcript) foot() []string {
	lines := field("ended", t.outcome())
	lines = append(lines, field("then", t.Use.words())...)
	if t.End.Err != "" {
		lines = append(lines, field("error", safetext.Shorten(escape(t.End.Err), 3*(columns-labelWidth)))...)
	}
	return lines
}

// The ladder's columns: time, bracket, lane, span, lane, bracket, size.
const (
	timeWidth = 9
	sizeWidth = 8
	span      = columns - timeWidth - sizeWidth - len(" [ || ]")
	maxLabel  = span - len("-- ") - len(" ->")
)

func (t *Transcript) ladder() []string {
	title := "client" + pad("server", " ", len("client")-span-len("||"))
	lines := []string{
		fmt.Sprintf("%*s   %s%*s", timeWidth, "time", title, 2+sizeWidth, "bytes"),
		rung{lanes: bare}.String(),
	}
	add := func(r rung) { lines = append(lines, r.String()) }
	complete := t.complete()
	for i := range t.Messages {
		add(t.rung(i))
		if i == complete {
			add(t.between(i, "✓ handshake complete"))
		}
	}
	if t.Omitted > 0 {
		add(rung{lanes: bare, span: centred(fmt.Sprintf("… %d more messages, not kept …", t.Omitted))})
	}
	for _, r := range t.end() {
		add(r)
	}
	return append(lines, t.legend()...)
}

// complete is the index of the Finished that made the handshake complete; -1 if none did.
func (t *Transcript) complete() int {
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

// end marks the place where it ended, if badly, on the lane of who ended it.
func (t *Transcript) end() []rung {
	if !t.failed() {
		return nil
	}
	lines := wrap(t.DescribeEnd(), span-len("  "))
	rungs := make([]rung, len(lines))
	for i, line := range lines {
		rungs[i] = rung{lanes: bare, span: " " + line}
		switch t.End.By {
		case Server:
			rungs[i].span = pad(line+" ", " ", -span)
		case UnknownSide:
			rungs[i].span = centred(line)
		}
	}
	if t.End.By != Server {
		rungs[0].lanes[0] = "✗"
	}
	if t.End.By != Client {
		rungs[0].lanes[1] = "✗"
	}
	return rungs
}

// legend explains the signs that the ladder has used.
func (t *Transcript) legend() []string {
	var signs []string
	var encrypted, inferred, shared bool
	for i, m := range t.Messages {
		encrypted, inferred = encrypted || m.Encrypted, inferred || m.Inferred
		shared = shared || t.together(i, i+1)
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

// A rung of the ladder is a line of it.
type rung struct {
	time, size  string
	left, right string // brackets of writes that carried more than one message
	lanes       [2]string
	span        string
}

func (r rung) String() string {
	line := fmt.Sprintf("%*s %1s %s%s%s %1s%*s", timeWidth, r.time, r.left, r.lanes[0],
		pad(r.span, " ", span), r.lanes[1], r.right, sizeWidth, r.size)
	return strings.TrimRight(line, " ")
}

var bare = [2]string{"│", "│"}

// rung is the line of the i-th message.
func (t *Transcript) rung(i int) rung {
	m := &t.Messages[i]
	r := rung{size: safetext.Shorten(strconv.Itoa(m.Size), sizeWidth-1), lanes: bare}
	if !t.together(i-1, i) || m.At != t.Messages[i-1].At {
		r.time = clock(m.At)
	}
	label := safetext.Shorten(t.label(i), maxLabel)
	line, join := t.stroke(i)
	switch m.From {
	case Client:
		r.lanes[0], r.left = join[0], t.bracket(i, "┌", "└")
		r.span = pad(line+line+" "+label+" ", line, span-1) + head(m, "▶")
	case Server:
		r.lanes[1], r.right = join[1], t.bracket(i, "┐", "┘")
		r.span = head(m, "◀") + pad(" "+label+" "+line+line, line, 1-span)
	default:
		r.span = centred(label)
	}
	return r
}

// stroke is the line of the i-th message's arrow and where it leaves either lane.
func (t *Transcript) stroke(i int) (line string, join [2]string) {
	switch m := &t.Messages[i]; {
	case t.IsEarlyTicket(i):
		return "═", [2]string{"╞", "╡"}
	case m.Encrypted:
		return "┄", [2]string{"├", "┤"}
	}
	return "─", [2]string{"├", "┤"}
}

// head is an arrow's head, of one that did not arrive whole a cross.
func head(m *Message, arrow string) string {
	if m.Missing > 0 {
		return "╳"
	}
	return arrow
}

func (t *Transcript) label(i int) string {
	switch m := &t.Messages[i]; {
	case m.Type == TypeUnknown:
		return "unknown record"
	case m.Missing > 0:
		return fmt.Sprintf("%s, %d bytes missing", m.Type, m.Missing)
	case t.IsEarlyTicket(i):
		return "NewSessionTicket ← before the client's Finished"
	case m.Type == TypeNotTLS:
		return `not TLS: "` + escape(string(t.NotTLS)) + `"`
	case m.Alert != nil && m.Alert.Fatal:
		return "Alert: " + m.Alert.Description.String() + ", fatal"
	case m.Alert != nil:
		return "Alert: " + m.Alert.Description.String()
	default:
		return m.Type.String()
	}
}

// bracket is the i-th message's part of the bracket around its write.
func (t *Transcript) bracket(i int, first, last string) string {
	before, after := t.together(i-1, i), t.together(i, i+1)
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

// together reports whether two messages shared a write.
func (t *Transcript) together(i, j int) bool {
	if i < 0 || j >= len(t.Messages) {
		return false
	}
	a, b := &t.Messages[i], &t.Messages[j]
	return a.Write == b.Write && a.From == b.From && a.Write > 0
}

// between is a line of words after the i-th message, on which the bracket goes on.
func (t *Transcript) between(i int, words string) rung {
	r := rung{lanes: bare, span: centred(words)}
	if t.together(i, i+1) && t.Messages[i].From == Client {
		r.left = "│"
	} else if t.together(i, i+1) {
		r.right = "│"
	}
	return r
}

func centred(s string) string {
	return pad(pad(s, " ", -(span+len([]rune(s)))/2), " ", span)
}

// clock is a time since the start, in at most timeWidth columns.
func clock(d time.Duration) string {
	switch {
	case d < time.Second:
		return safetext.Shorten(fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)), timeWidth)
	case d < time.Hour:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return safetext.Shorten(fmt.Sprintf("%.1f h", d.Hours()), timeWidth)
}

const (
	columns    = 80
	labelWidth = 10
)

// field sets text beside a label, each of its lines wrapped within the columns.
func field(label, text string) []string {
	var lines []string
	for _, line := range wrap(text, columns-labelWidth) {
		lines = append(lines, fmt.Sprintf("%-*s%s", labelWidth, label, line))
		label = ""
	}
	return lines
}

// wrap breaks text at its line ends, at spaces where a line is too wide, and within a word
// that is wider than a line.
func wrap(text string, width int) []string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		for utf8.RuneCountInString(line) > width {
			runes := []rune(line)
			end := width
			for end > 0 && runes[end] != ' ' {
				end--
			}
			if end == 0 {
				end = width
			}
			lines = append(lines, string(runes[:end]))
			line = strings.TrimLeft(string(runes[end:]), " ")
		}
		lines = append(lines, line)
	}
	return lines
}

// sentences joins what is not empty, one a line.
func sentences(parts ...string) string {
	var lines []string
	for _, part := range parts {
		if part != "" {
			lines = append(lines, part)
		}
	}
	return strings.Join(lines, "\n")
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
