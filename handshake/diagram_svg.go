package handshake

import (
	"fmt"
	"html"
	"strings"
)

// DiagramSVG returns the messages of t as an SVG image, with the rows of [Transcript.Diagram]:
// the client's lifeline on the left, the server's on the right. What is around them there, such
// as the addresses, it leaves out. The size is that of the viewBox.
//
// It is drawn in the text's colour. The classes "early" (a ticket before the client's Finished),
// "failed", "done" and "soft" are for style sheets. It has no style, script or link of its own;
// text from the peer is escaped as in Diagram, and as HTML.
func (t *Transcript) DiagramSVG() string {
	var s svg
	rows := t.rows()
	writes, encrypted := t.legend()
	height := svgHead + svgRow*len(rows) + svgEnd
	if writes != "" || encrypted != "" {
		height += svgRow
	}
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s" font-size="12" fill="currentColor" stroke="none">`,
		svgWidth, height, html.EscapeString("Messages of the handshake: "+t.describeResult()))
	s.text(svgClient, 14, "middle", "", "client")
	s.text(svgServer, 14, "middle", "", "server")
	s.text(svgWidth, 14, "end", "soft", "bytes")
	if t.timed() {
		s.text(svgTime, 14, "end", "soft", "time")
	}
	bottom := svgHead + svgRow*len(rows)
	s.line(svgClient, svgHead-8, svgClient, bottom, "soft", "")
	s.line(svgServer, svgHead-8, svgServer, bottom, "soft", "")
	for i, r := range rows {
		s.row(r, svgHead+svgRow*i+svgRow/2)
	}
	s.legend(writes, encrypted, bottom+svgRow)
	s.WriteString("</svg>")
	return s.String()
}

// Sizes of the image, in its own units: about pixels.
const (
	svgWidth  = 520
	svgTime   = 56 // where times end
	svgClient = 88 // the lifelines
	svgServer = 462
	svgHead   = 28 // height of the titles
	svgRow    = 24
	svgEnd    = 8
)

// svg is an image being drawn. Its methods escape all text.
type svg struct{ strings.Builder }

func (s *svg) text(x, y int, anchor, class, text string) {
	if text == "" {
		return
	}
	fmt.Fprintf(s, `<text x="%d" y="%d" text-anchor="%s"%s>%s</text>`, x, y, anchor, classed(class), html.EscapeString(text))
}

func (s *svg) line(x1, y1, x2, y2 int, class, more string) {
	fmt.Fprintf(s, `<path d="M%d %dL%d %d" stroke="currentColor"%s%s/>`, x1, y1, x2, y2, classed(class), more)
}

func classed(class string) string {
	if class == "" {
		return ""
	}
	return ` class="` + class + `"`
}

// row draws a row around y.
func (s *svg) row(r row, y int) {
	s.text(svgTime, y+4, "end", "soft", r.time)
	s.text(svgWidth, y+4, "end", "soft", r.size)
	s.bracket(r, y)
	for i, x := range []int{svgClient, svgServer} {
		if r.ends[i] {
			s.cross(x, y)
		}
	}
	const middle = (svgClient + svgServer) / 2
	switch {
	case r.kind == failureRow && r.from == Client:
		s.text(svgClient+10, y+4, "start", "failed", r.label)
	case r.kind == failureRow && r.from == Server:
		s.text(svgServer-10, y+4, "end", "failed", r.label)
	case r.kind == failureRow:
		s.text(middle, y+4, "middle", "failed", r.label)
	case r.kind == noteRow:
		s.text(middle, y+4, "middle", "done", r.label)
	default:
		s.arrow(r, y+6)
		s.text(middle, y+1, "middle", r.class(), r.label)
	}
}

// class is that of a message.
func (r row) class() string {
	if r.kind == earlyRow {
		return "early"
	}
	return ""
}

// arrow draws the arrow of a message. That of an encrypted one is dashed, that of an early
// ticket is thick.
func (s *svg) arrow(r row, y int) {
	more := ""
	switch r.kind {
	case encryptedRow:
		more = ` stroke-dasharray="4 3"`
	case earlyRow:
		more = ` stroke-width="2.5"`
	}
	from, to, back := svgClient, svgServer, -7
	if r.from == Server {
		from, to, back = svgServer, svgClient, 7
	}
	if r.cut {
		to += 3 * back
		s.cross(to, y)
	} else {
		fmt.Fprintf(s, `<path d="M%d %dl%d -4v8z"%s/>`, to, y, back, classed(r.class()))
	}
	s.line(from, y, to, y, r.class(), more)
}

func (s *svg) cross(x, y int) {
	fmt.Fprintf(s, `<path d="M%d %dl10 10m0 -10l-10 10" stroke="currentColor" stroke-width="2"%s/>`, x-5, y-5, classed("failed"))
}

// bracket draws the row's part of the bracket around the messages of a write.
func (s *svg) bracket(r row, y int) {
	if r.bracket == writeNone {
		return
	}
	x, out := svgServer, 8
	if r.side == Client {
		x, out = svgClient, -8
	}
	top, bottom := y-svgRow/2, y+svgRow/2
	if r.bracket == writeFirst {
		top = y
		s.line(x+out/2, top, x+out, top, "soft", "")
	}
	if r.bracket == writeLast {
		bottom = y + svgRow/4
		s.line(x+out/2, bottom, x+out, bottom, "soft", "")
	}
	s.line(x+out, top, x+out, bottom, "soft", "")
}

func (s *svg) legend(writes, encrypted string, y int) {
	x := svgClient
	if writes != "" {
		fmt.Fprintf(s, `<path d="M%d %dh4v12h-4" fill="none" stroke="currentColor" class="soft"/>`, x, y-10)
		s.text(x+12, y, "start", "soft", writes)
		x += 130
	}
	if encrypted != "" {
		s.line(x, y-4, x+26, y-4, "soft", ` stroke-dasharray="4 3"`)
		s.text(x+34, y, "start", "soft", encrypted)
	}
}
