package handshake

import (
	"strings"
	"time"
)

// DrawOptions says how [Transcript.Draw] draws.
type DrawOptions struct {
	ASCII    bool           // nothing but ASCII, for where box characters do not show
	Location *time.Location // of the date in the head; nil: UTC
}

// Draw gives t as the ladder that people draw on whiteboards: the client's lane left, the
// server's right, an arrow a message, a bracket at those that shared a write, and a cross
// where it ended badly. Above stand what was offered and chosen, below how it ended.
//
// Lines are of at most 80 columns and end in LF. What strangers wrote, such as the name
// asked for, is shown as in a Go string: no control character and nothing outside ASCII
// comes from them. Any Transcript can be drawn, one that no recorder makes too.
func (t *Transcript) Draw(o DrawOptions) string {
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
	lines = append(lines, field("client", sentences(address{t.Client}.words(), t.Hello.words()))...)
	return append(lines, field("server", sentences(address{t.Server}.words(), t.Choice.words()))...)
}

// foot says how it ended and what came after.
func (t *Transcript) foot() []string {
	lines := field("ended", t.outcome())
	lines = append(lines, field("then", t.Use.words())...)
	if t.End.Err != "" {
		lines = append(lines, field("error", clip(escape(t.End.Err), 3*(columns-labelWidth)))...)
	}
	return lines
}
