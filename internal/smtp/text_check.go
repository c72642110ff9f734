package smtp

import (
	"bytes"
	"errors"
	"io"
)

// What a Text can find wrong with a message. The message must not go on.
var (
	ErrBareLF      = errors.New("smtp: LF without CR in message")
	ErrBareCR      = errors.New("smtp: CR without LF in message")
	ErrNUL         = errors.New("smtp: NUL in message")
	ErrLineTooLong = errors.New("smtp: line of message too long")
	ErrTooLarge    = errors.New("smtp: message too large")
	ErrLoop        = errors.New("smtp: too many Received fields")
)

// Bounds are the limits that a Text keeps to. Zero means none.
type Bounds struct {
	Size int64 // bytes of the text
	Line int   // bytes of a line, CRLF not counted
	Hops int   // Received fields in the header (RFC 5321, Section 6.3)
}

// A Text passes a message's text through and checks it: lines end in CRLF and
// neither CR nor LF stands alone, and the Bounds are kept to. The bytes that
// break a rule are not given out.
type Text struct {
	r      io.Reader
	bounds Bounds
	size   int64
	cr     bool // the last byte was CR
	line   int  // bytes of the line so far, without CRLF
	start  [len(received)]byte
	body   bool // the header is over
	hops   int
	err    error
}

const received = "received:"

// NewText checks what it reads from r against bounds.
func NewText(r io.Reader, bounds Bounds) *Text { return &Text{r: r, bounds: bounds} }

// Size is the number of bytes given out so far.
func (t *Text) Size() int64 { return t.size }

// Err is the error that Read has returned, io.EOF at the text's end.
func (t *Text) Err() error { return t.err }

// Read returns one of the errors above once a rule is broken, and then again.
func (t *Text) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.r.Read(p)
	if broken := t.check(p[:n]); broken != nil {
		t.err = broken
		return 0, broken
	}
	if err == io.EOF && t.cr {
		err = ErrBareCR
	}
	t.size += int64(n)
	t.err = err
	return n, err
}

func (t *Text) check(p []byte) error {
	if t.bounds.Size > 0 && t.size+int64(len(p)) > t.bounds.Size {
		return ErrTooLarge
	}
	// RFC 5322, Section 4, lets nobody write NUL. A server that drops them would
	// read CRLF NUL "." CRLF as the message's end.
	if bytes.IndexByte(p, 0) >= 0 {
		return ErrNUL
	}
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			return t.part(p)
		}
		if err := t.part(p[:end]); err != nil {
			return err
		}
		if !t.cr {
			return ErrBareLF
		}
		if err := t.endLine(); err != nil {
			return err
		}
		p = p[end+1:]
	}
	return nil
}

// part takes bytes of one line, none of them LF.
func (t *Text) part(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	cr := bytes.IndexByte(p, '\r')
	if t.cr || cr >= 0 && cr < len(p)-1 {
		return ErrBareCR
	}
	if t.cr = cr >= 0; t.cr {
		p = p[:cr]
	}
	if t.line < len(t.start) {
		copy(t.start[t.line:], p)
	}
	t.line += len(p)
	if t.bounds.Line > 0 && t.line > t.bounds.Line {
		return ErrLineTooLong
	}
	return nil
}

func (t *Text) endLine() error {
	if !t.body && t.line >= len(received) && bytes.EqualFold(t.start[:], []byte(received)) {
		t.hops++
	}
	t.body = t.body || t.line == 0
	t.line, t.cr = 0, false
	if t.bounds.Hops > 0 && t.hops > t.bounds.Hops {
		return ErrLoop
	}
	return nil
}
