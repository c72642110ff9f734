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
