package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// A DotReader reads the text behind DATA up to the line with a single dot
// and removes the dots that the client added (RFC 5321, Section 4.5.2).
//
// The text ends at CRLF "." CRLF only, so that a message smuggled behind some
// other spelling of that end stays part of this one (CVE-2023-51764 and its
// relatives). Where lines end in LF alone, so that the text must be refused
// anyway, a line with a single dot ends it with ErrBareLF: the client waits
// for a reply then. What follows must not be taken as a command.
type DotReader struct {
	r       *bufio.Reader
	pending []byte // of the reader's buffer, not yet given out
	inLine  bool   // the last piece did not end in LF
	cr      bool   // the last piece ended in CR
	bare    bool   // a line ended in LF alone
	err     error
}

// NewDotReader reads from r, and not a byte past the text's end.
func NewDotReader(r *bufio.Reader) *DotReader { return &DotReader{r: r} }

// Read gives out the text. It returns io.EOF at its end, ErrBareLF at an end
// that is none, and io.ErrUnexpectedEOF where the connection ended before.
func (d *DotReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(d.pending) == 0 {
			if d.err != nil || n > 0 && d.r.Buffered() == 0 {
				break
			}
			d.next()
			continue
		}
		c := copy(p[n:], d.pending)
		n += c
		d.pending = d.pending[c:]
	}
	if n == 0 && len(p) > 0 && d.err != nil {
		return 0, d.err
	}
	return n, nil
}

// next reads a line, or the piece of a long one that the buffer holds.
func (d *DotReader) next() {
	piece, err := d.r.ReadSlice('\n')
	switch {
	case err == nil, errors.Is(err, bufio.ErrBufferFull):
	case errors.Is(err, io.EOF):
		d.err = io.ErrUnexpectedEOF
	default:
		d.err = err
	}
	if !d.inLine && len(piece) > 0 && piece[0] == '.' {
		if d.ends(string(piece)) {
			return
		}
		piece = piece[1:]
	}
	if len(piece) > 0 {
		d.follow(piece)
	}
	d.pending = piece
}

// ends reports whether a line that begins with a dot ends the text.
func (d *DotReader) ends(line string) bool {
	switch {
	case line == ".\r\n" && !d.bare:
		d.err = io.EOF
	case line == ".\r\n" || line == ".\n":
		d.err = ErrBareLF
	default:
		return false
	}
	return true
}

// follow keeps track of where lines end, and how.
func (d *DotReader) follow(piece []byte) {
	last := len(piece) - 1
	d.inLine = piece[last] != '\n'
	if !d.inLine {
		d.bare = d.bare || !bytes.HasSuffix(piece, []byte("\r\n")) && !(last == 0 && d.cr)
	}
	d.cr = piece[last] == '\r'
}

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
