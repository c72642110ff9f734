package capture

import "bytes"

// maxLine bounds what is kept of a line: RFC 5321, Section 4.5.3.1.5.
const maxLine = 512

// A lineCutter cuts what one side says into lines.
type lineCutter struct {
	partial []byte
	broken  bool // the line has a gap
}

// next cuts the next line off b; its first bytes may have come before. It is
// without its end, cut to maxLine, empty if it has a gap, and good until the next call.
func (l *lineCutter) next(b []byte) (line, rest []byte, whole bool) {
	part, rest, whole := bytes.Cut(b, []byte("\n"))
	l.partial = append(l.partial, part[:min(len(part), maxLine-len(l.partial))]...)
	if !whole {
		return nil, nil, false
	}
	line = bytes.TrimSuffix(l.partial, []byte("\r"))
	if l.broken {
		line = nil
	}
	l.partial, l.broken = l.partial[:0], false
	return line, rest, true
}

// startsTLS reports whether b begins, where a line would, with what is a TLS
// record of handshake messages and no text (RFC 8446, Section 5.1).
func (l *lineCutter) startsTLS(b []byte) bool {
	return len(l.partial) == 0 && len(b) > 0 && b[0] == 22 && (len(b) == 1 || b[1] == 3)
}
