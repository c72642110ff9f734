package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// A DotReader reads the text after DATA, up to the line with a single dot, and
// removes the dots that the client added (RFC 5321, Section 4.5.2).
//
// The text ends at CRLF "." CRLF only, so that a message smuggled in after
// another spelling of that end stays part of this one (CVE-2023-51764,
// CVE-2023-51765, CVE-2023-51766). If a line has ended in LF alone, so that the
// text must be refused anyway, a line with a single dot ends it with [ErrBareLF]:
// the client waits for a reply then. The caller must not take what follows for
// a command.
type DotReader struct {
	r       *bufio.Reader
	pending []byte // part of r's buffer, not yet returned
	inLine  bool   // the last piece did not end in LF
	cr      bool   // the last piece ended in CR
	bare    bool   // a line has ended in LF alone
	err     error
}

// NewDotReader returns a DotReader that reads from r, and not beyond the end of the
// text.
func NewDotReader(r *bufio.Reader) *DotReader { return &DotReader{r: r} }

// Read implements [io.Reader]. It returns io.EOF at the end of the text, [ErrBareLF]
// at an end spelled with a bare LF, and io.ErrUnexpectedEOF if r ends before.
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

// next reads a line, or the part of a long one that the buffer holds.
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

// ends reports whether line, which begins with a dot, ends the text.
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

// follow notes where lines end, and how.
func (d *DotReader) follow(piece []byte) {
	last := len(piece) - 1
	d.inLine = piece[last] != '\n'
	if !d.inLine {
		d.bare = d.bare || !bytes.HasSuffix(piece, []byte("\r\n")) && !(last == 0 && d.cr)
	}
	d.cr = piece[last] == '\r'
}

// DotBufferSize is a good size for the buffer of a [DotWriter]: it fills a TLS record.
const DotBufferSize = 16 << 10

const endOfText = "\r\n.\r\n"

// A DotWriter writes a message's text after DATA: it adds a dot to each line that
// begins with one (RFC 5321, Section 4.5.2).
//
// It buffers small writes, and writes the end of the text together with the line
// that ends it: otherwise that line would wait for the delayed ACK of the bytes
// before it.
type DotWriter struct {
	w    io.Writer
	buf  []byte
	room int  // bytes of buf for text, which leaves enough for endOfText
	line bool // a line begins
	cr   bool // the last byte was CR
	crlf bool // the last bytes were CRLF, or nothing is written yet
	err  error
}

// NewDotWriter returns a DotWriter that writes to w. Its buffer is the capacity of
// buf, or a new one if that is below 64 bytes.
func NewDotWriter(w io.Writer, buf []byte) *DotWriter {
	if cap(buf) < 64 {
		buf = make([]byte, 0, DotBufferSize)
	}
	return &DotWriter{w: w, buf: buf[:0], room: cap(buf) - len(endOfText), line: true, crlf: true}
}

// Write implements [io.Writer]. It also doubles a dot after a bare LF: a server
// that ends a line there must not see the end of the text.
//
// After an error of the underlying writer all calls return that error.
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

// ended notes how the text so far ends.
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
		}
		n := min(len(p), d.room-len(d.buf))
		d.buf = append(d.buf, p[:n]...)
		p = p[n:]
	}
}

// Buffered returns the number of bytes that are not written yet.
func (d *DotWriter) Buffered() int { return len(d.buf) }

// Flush writes what is buffered.
func (d *DotWriter) Flush() error {
	if d.err == nil && len(d.buf) > 0 {
		_, d.err = d.w.Write(d.buf)
		d.buf = d.buf[:0]
	}
	return d.err
}

// Close writes the line with a single dot, preceded by CRLF if the text does not
// end in one, and flushes. It does not close the underlying writer. To abort a
// message, do not call Close.
func (d *DotWriter) Close() error {
	end := endOfText
	if d.crlf {
		end = end[len("\r\n"):]
	}
	d.buf = append(d.buf, end...)
	return d.Flush()
}
