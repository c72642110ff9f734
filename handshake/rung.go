package handshake

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

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
	r := rung{size: clip(strconv.Itoa(m.Size), sizeWidth-1), lanes: bare}
	if !t.together(i-1, i) || m.At != t.Messages[i-1].At {
		r.time = clock(m.At)
	}
	label := clip(t.label(i), maxLabel)
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
	case t.Early(i):
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
	case m.Type == Unknown:
		return "unknown record"
	case m.Missing > 0:
		return fmt.Sprintf("%s, %d bytes missing", m.Type, m.Missing)
	case t.Early(i):
		return "NewSessionTicket ← before the client's Finished"
	case m.Type == NotTLS:
		return `not TLS: "` + escape(string(t.NotTLS)) + `"`
	case m.Alert != nil && m.Alert.Fatal:
		return "Alert: " + AlertDescription(m.Alert.Description).String() + ", fatal"
	case m.Alert != nil:
		return "Alert: " + AlertDescription(m.Alert.Description).String()
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
		return clip(fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)), timeWidth)
	case d < time.Hour:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return clip(fmt.Sprintf("%.1f h", d.Hours()), timeWidth)
}
