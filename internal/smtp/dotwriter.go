package smtp

import (
	"bytes"
	"io"
)

// DotBufferSize suits the buffer of a [DotWriter]: it fills a TLS record.
const DotBufferSize = 16 << 10

const endOfText = "\r\n.\r\n"

// A DotWriter writes a message's text behind DATA: it adds a dot to each line
// that begins with one (RFC 5321, Section 4.5.2).
//
// Small pieces are joined, and the text's last bytes leave in one write with
// the line that ends it, so that no end of a text waits for the delayed ACK
// of what came before.
type DotWriter struct {
	w    io.Writer
	buf  []byte
	room int // bytes of buf that text may fill: the end fits behind it
	line bool
	cr   bool // the last byte was CR
	crlf bool // the last bytes were CRLF, or there were none
	err  error
}

// NewDotWriter writes to w. The writer uses buf's capacity as its buffer, at
// least 64 bytes of it, and makes one itself if there are fewer.
func NewDotWriter(w io.Writer, buf []byte) *DotWriter {
	if cap(buf) < 64 {
		buf = make([]byte, 0, DotBufferSize)
	}
	return &DotWriter{w: w, buf: buf[:0], room: cap(buf) - len(endOfText), line: true, crlf: true}
}

// Write adds p to the text. A dot behind a bare LF is doubled too: servers
// that end a line there must not see the text's end.
//
// The error is the underlying writer's, and it stays.
func (d *DotWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && d.err == nil {
		if d.line && p[0] == '.' {
			d.put(p[:1])
		}
		end := len(p)
		if i := bytes.Index(p, []byte("\n.")); i >= 0 {
			end = i + 1
		}
		d.put(p[:end])
		d.ended(p[:end])
		p = p[end:]
	}
	if d.err != nil {
		return 0, d.err
	}
	return n, nil
}

// ended notes how the text ends so far.
func (d *DotWriter) ended(p []byte) {
	last := p[len(p)-1]
	cr := d.cr
	if len(p) > 1 {
		cr = p[len(p)-2] == '\r'
	}
	d.line = last == '\n'
	d.crlf = d.line && cr
	d.cr = last == '\r'
}

func (d *DotWriter) put(p []byte) {
	for len(p) > 0 && d.err == nil {
		if len(d.buf) == d.room {
			d.Flush()
			continue
		}
		n := min(len(p), d.room-len(d.buf))
		d.buf = append(d.buf, p[:n]...)
		p = p[n:]
	}
}

// Buffered is the number of bytes that wait to be written.
func (d *DotWriter) Buffered() int { return len(d.buf) }

// Flush writes what waits.
func (d *DotWriter) Flush() error {
	if d.err == nil && len(d.buf) > 0 {
		_, d.err = d.w.Write(d.buf)
		d.buf = d.buf[:0]
	}
	return d.err
}

// Close ends the text with the line that holds a single dot, behind a CRLF
// if the text lacks its last one, and writes all that waits. It does not
// close the underlying writer. A text that must not count as whole is left
// without Close.
func (d *DotWriter) Close() error {
	end := endOfText
	if d.crlf {
		end = end[len("\r\n"):]
	}
	d.buf = append(d.buf, end...)
	return d.Flush()
}
