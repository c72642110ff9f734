package maildir

import (
	"bytes"
	"fmt"
	"io"
)

// size counts a message's bytes with its lines ended by LF and by CRLF.
type size struct{ stored, wire int64 }

// store copies the message to w through buf, of two bytes or more, with LF in
// place of CRLF. Errors of r wrap errBrokenOff.
func store(w io.Writer, r io.Reader, buf []byte) (size, error) {
	var total size
	held := 0 // a CR that ended the last piece: its LF may come now
	for {
		n, err := fill(r, buf[held:])
		if err != nil && err != io.EOF {
			return total, fmt.Errorf("%w: %w", errBrokenOff, err)
		}
		total.wire += int64(n)
		piece := buf[:held+n]
		held = 0
		if err == nil && piece[len(piece)-1] == '\r' {
			held = 1
			piece = piece[:len(piece)-1]
		}
		written, failed := w.Write(cutCR(piece))
		total.stored += int64(written)
		if failed != nil || err == io.EOF {
			return total, failed
		}
		buf[0] = '\r' // counts if held
	}
}

// fill reads until p is full or r has an error. io.ReadFull would report a
// text that ends within p by io.ErrUnexpectedEOF, which is what r says of one
// that was broken off.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = r.Read(p[n:])
		n += more
	}
	return n, err
}

// cutCR removes the CR of each CRLF in p, in place.
func cutCR(p []byte) []byte {
	kept := p[:0]
	for {
		end := bytes.Index(p, []byte("\r\n"))
		if end < 0 {
			return append(kept, p...)
		}
		kept = append(kept, p[:end]...)
		p = p[end+1:]
	}
}
