package handshake

import (
	"fmt"
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
	lines = append(lines, t.textRows()...)
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

// textRows draws the rows, with a head and a legend.
func (t *Transcript) textRows() []string {
	title := "client" + pad("server", " ", len("client")-arrowWidth-len("||"))
	timeTitle := "time"
	if !t.timed() {
		timeTitle = ""
	}
	lines := []string{fmt.Sprintf("%*s   %s%*s", timeWidth, timeTitle, title, 2+sizeWidth, "bytes")}
	for _, r := range append([]row{{}}, t.rows()...) {
		lines = append(lines, r.String())
	}
	var signs []string
	writes, encrypted := t.legend()
	if writes != "" {
		signs = append(signs, "┐┘ "+writes)
	}
	if encrypted != "" {
		signs = append(signs, "┄┄ "+encrypted)
	}
	if len(signs) == 0 {
		return lines
	}
	return append(lines, "", strings.Repeat(" ", timeWidth+3)+strings.Join(signs, "   "))
}

// String draws a row: time, bracket, lifeline, arrow, lifeline, bracket, size.
func (r row) String() string {
	lifelines, arrow := [2]string{"│", "│"}, centred(r.label)
	line, tails := "─", [2]string{"├", "┤"}
	switch r.kind {
	case encryptedRow:
		line = "┄"
	case earlyRow:
		line, tails = "═", [2]string{"╞", "╡"}
	}
	heads := [2]string{"◀", "▶"}
	if r.cut {
		heads = [2]string{"╳", "╳"}
	}
	switch {
	case r.kind == failureRow && r.from == Client:
		arrow = " " + r.label
	case r.kind == failureRow && r.from == Server:
		arrow = pad(r.label+" ", " ", -arrowWidth)
	case r.kind == noteRow || r.kind == failureRow:
	case r.from == Client:
		lifelines[0] = tails[0]
		arrow = pad(line+line+" "+r.label+" ", line, arrowWidth-1) + heads[1]
	default:
		lifelines[1] = tails[1]
		arrow = heads[0] + pad(" "+r.label+" "+line+line, line, 1-arrowWidth)
	}
	for i, ended := range r.ends {
		if ended {
			lifelines[i] = "✗"
		}
	}
	var left, right string
	if r.side == Client {
		left = [...]string{"", "┌", "│", "└"}[r.bracket]
	} else {
		right = [...]string{"", "┐", "│", "┘"}[r.bracket]
	}
	text := fmt.Sprintf("%*s %1s %s%s%s %1s%*s", timeWidth, r.time, left, lifelines[0],
		pad(arrow, " ", arrowWidth), lifelines[1], right, sizeWidth, r.size)
	return strings.TrimRight(text, " ")
}

func centred(s string) string {
	return pad(pad(s, " ", -(arrowWidth+len([]rune(s)))/2), " ", arrowWidth)
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
