package smtp

import (
	"bufio"
	"bytes"
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

// next makes pending what is buffered, up to the next line that begins with a dot. Of such a
// line it only reads the dot, unless it ends the text.
func (d *DotReader) next() {
	if _, err := d.r.Peek(1); err != nil {
		d.fail(err)
		return
	}
	buffered, _ := d.r.Peek(d.r.Buffered())
	if !d.inLine && buffered[0] == '.' {
		d.dot()
		return
	}
	d.pending = buffered[:d.upToDot(buffered)]
	d.r.Discard(len(d.pending))
	last := d.pending[len(d.pending)-1]
	d.inLine, d.cr = last != '\n', last == '\r'
}

func (d *DotReader) fail(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	d.err = err
}

// dot reads the dot at the start of a line, and the line if it ends the text.
func (d *DotReader) dot() {
	start, err := d.r.Peek(2)
	if err == nil && start[1] == '\r' {
		start, err = d.r.Peek(3)
	}
	if err != nil {
		d.fail(err)
		return
	}
	line := string(start)
	switch {
	case line == ".\r\n" && !d.bare:
		d.err = io.EOF
	case line == ".\r\n", line == ".\n":
		d.err = ErrBareLF
	default:
		d.r.Discard(1)
		d.inLine, d.cr = true, false
		return
	}
	d.r.Discard(len(line))
}

// upToDot returns how much of b comes before the next line that begins with a dot. It notes
// lines that end in LF alone.
func (d *DotReader) upToDot(b []byte) int {
	cr := d.cr
	for from := 0; ; {
		lf := bytes.IndexByte(b[from:], '\n')
		if lf < 0 {
			return len(b)
		}
		if lf += from; lf > 0 {
			cr = b[lf-1] == '\r'
		}
		d.bare = d.bare || !cr
		if from = lf + 1; from == len(b) || b[from] == '.' {
			return from
		}
	}
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
		dot := d.firstDot(p)
		if dot < 0 {
			d.put(p)
			d.ended(p)
			break
		}
		d.put(p[:dot+1])
		d.put(p[dot : dot+1])
		d.ended(p[:dot+1])
		p = p[dot+1:]
	}
	if d.err != nil {
		return 0, d.err
	}
	return n, nil
}

// ReadBlock reads from r once, into the buffer, and returns the error of r. It adds dots as
// Write does; spare must be as large as the buffer. An error of the underlying writer is
// returned by the next Write or Flush.
func (d *DotWriter) ReadBlock(r io.Reader, spare []byte) error {
	if len(d.buf) > d.room-minRead {
		d.Flush()
	}
	n, err := r.Read(d.buf[len(d.buf):d.room])
	block := d.buf[len(d.buf) : len(d.buf)+n]
	switch dot := d.firstDot(block); {
	case n == 0:
	case dot < 0:
		d.buf = d.buf[:len(d.buf)+n]
		d.ended(block)
	default:
		d.Write(spare[:copy(spare, block)])
	}
	return err
}

// minRead is the least to read at once.
const minRead = 1 << 10

// firstDot returns the index of the first dot in p that begins a line, or -1.
func (d *DotWriter) firstDot(p []byte) int {
	for from := 0; ; {
		dot := bytes.IndexByte(p[from:], '.')
		if dot < 0 {
			return -1
		}
		if dot += from; dot == 0 && d.line || dot > 0 && p[dot-1] == '\n' {
			return dot
		}
		from = dot + 1
	}
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
