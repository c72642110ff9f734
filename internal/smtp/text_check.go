package smtp

import (
	"bytes"
	"errors"
	"io"
)

// What a TextChecker can find wrong with a message. Such a message must not be
// passed on.
var (
	ErrBareLF      = errors.New("smtp: LF without CR in message")
	ErrBareCR      = errors.New("smtp: CR without LF in message")
	ErrNUL         = errors.New("smtp: NUL in message")
	ErrLineTooLong = errors.New("smtp: line of message too long")
	ErrTooLarge    = errors.New("smtp: message too large")
	ErrLoop        = errors.New("smtp: too many Received fields")
)

// TextLimits bound a message. Zero means no limit.
type TextLimits struct {
	Size int64 // bytes
	Line int   // bytes of a line, not counting CRLF
	Hops int   // Received fields in the header (RFC 5321, Section 6.3)
}

// A TextChecker reads a message and checks it on the way: each line ends in
// CRLF, CR and LF occur nowhere else, there is no NUL, and the [TextLimits] are
// kept. It returns no byte that breaks a rule, so that no later server can take
// one message for two (SMTP smuggling, CVE-2023-51764).
type TextChecker struct {
	r      io.Reader
	limits TextLimits
	size   int64
	cr     bool // the last byte was CR
	line   int  // bytes of the line so far, without CRLF
	start  [len(received)]byte
	body   bool // the header is over
	hops   int
	err    error
}

const received = "received:"

// NewTextChecker returns a TextChecker that reads from r.
func NewTextChecker(r io.Reader, limits TextLimits) *TextChecker {
	return &TextChecker{r: r, limits: limits}
}

// Size returns the number of bytes read so far.
func (t *TextChecker) Size() int64 { return t.size }

// Err returns the error that Read has returned: io.EOF at the end of the message.
func (t *TextChecker) Err() error { return t.err }

// Read implements [io.Reader]. Once a rule is broken it returns that rule's error,
// such as [ErrBareLF], at every call.
func (t *TextChecker) Read(p []byte) (int, error) {
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

func (t *TextChecker) check(p []byte) error {
	if t.limits.Size > 0 && t.size+int64(len(p)) > t.limits.Size {
		return ErrTooLarge
	}
	// RFC 5322, Section 4, allows no NUL. A server that drops NUL would take
	// CRLF NUL "." CRLF for the end of the message.
	if bytes.IndexByte(p, 0) >= 0 {
		return ErrNUL
	}
	asked := false
	for len(p) > 0 {
		if t.body && !t.cr && !asked {
			if t.clean(p) {
				return nil
			}
			asked = true // at each line, it would take quadratic time
		}
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

// clean reports whether p, which is in the body and not between CR and LF, breaks no rule. It
// is faster than to check each line, and decides for most texts. With each LF after a CR,
// there is another CR only if there are more of them.
func (t *TextChecker) clean(p []byte) bool {
	if t.tooLong(t.line+len(p)) || t.mayHaveBareLF(p) {
		return false
	}
	rest := p[bytes.LastIndexByte(p, '\n')+1:]
	line := len(bytes.TrimSuffix(rest, cr))
	crs := bytes.Count(p[:len(p)-len(rest)+line], cr)
	if crs != bytes.Count(p, lf) {
		return false
	}
	t.cr = line < len(rest)
	if crs == 0 {
		line += t.line
	}
	t.line = line
	return true
}

var cr, lf = []byte("\r"), []byte("\n")

// mayHaveBareLF reports whether an LF in p may lack its CR. A DotReader has looked.
func (t *TextChecker) mayHaveBareLF(p []byte) bool {
	if dots, ok := t.r.(*DotReader); ok {
		return dots.bare
	}
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			return false
		}
		if end == 0 || p[end-1] != '\r' {
			return true
		}
		p = p[end+1:]
	}
}

func (t *TextChecker) tooLong(line int) bool { return t.limits.Line > 0 && line > t.limits.Line }

// part checks bytes of one line, none of them LF.
func (t *TextChecker) part(p []byte) error {
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
	if t.tooLong(t.line) {
		return ErrLineTooLong
	}
	return nil
}

func (t *TextChecker) endLine() error {
	if !t.body && t.line >= len(received) && bytes.EqualFold(t.start[:], []byte(received)) {
		t.hops++
	}
	t.body = t.body || t.line == 0
	t.line, t.cr = 0, false
	if t.limits.Hops > 0 && t.hops > t.limits.Hops {
		return ErrLoop
	}
	return nil
}
