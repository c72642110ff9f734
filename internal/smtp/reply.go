package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"postern/internal/safetext"
)

// Bounds of a reply that is read. Servers write longer lines than RFC 5321 allows.
const (
	maxReplyLine  = 2048
	maxReplyLines = 128 // an EHLO reply has about 15
)

// Bounds of a reply that is passed on, in bytes, with the code and CRLF of each line.
const (
	maxPassedLine  = 512  // RFC 5321, Section 4.5.3.1.5
	maxPassedReply = 4000 // Exim as a client reads less than 4,096
	lineOverhead   = len("250 \r\n")
)

// ErrReply is returned for what is not an SMTP reply (RFC 5321, Section 4.2), or
// exceeds the bounds of one. It is wrapped with the line that was read.
var ErrReply = errors.New("smtp: not a reply")

// A Reply is an SMTP reply: its code and the text of each line. The text includes
// the enhanced status code (RFC 2034), if there is one. The zero Reply is none.
type Reply struct {
	Code  int
	Lines []string

	// Remote reports that another server sent the reply: see [ReadReply].
	Remote bool
}

// NewReply returns a reply of one line, as in
// NewReply(250, "2.1.5", "recipient ok").
func NewReply(code int, enhanced, text string) Reply {
	return Reply{Code: code, Lines: []string{enhanced + " " + text}}
}

// Positive reports whether the reply is 2xx: the command succeeded.
func (r Reply) Positive() bool { return r.Code/100 == 2 }

// Intermediate reports whether the reply is 3xx: the server waits for more.
func (r Reply) Intermediate() bool { return r.Code/100 == 3 }

// Transient reports whether the reply is 4xx: try again later.
func (r Reply) Transient() bool { return r.Code/100 == 4 }

// Permanent reports whether the reply is 5xx: do not try again.
func (r Reply) Permanent() bool { return r.Code/100 == 5 }

// Enhanced returns the enhanced status code at the start of the text, such as
// "4.3.0", or "" if there is none (RFC 3463).
func (r Reply) Enhanced() string {
	if len(r.Lines) == 0 {
		return ""
	}
	code, _, _ := strings.Cut(r.Lines[0], " ")
	class, rest, ok := strings.Cut(code, ".")
	if !ok || class != strconv.Itoa(r.Code/100) {
		return ""
	}
	subject, detail, ok := strings.Cut(rest, ".")
	if !ok || !isNumber(subject) || !isNumber(detail) {
		return ""
	}
	return code
}

func isNumber(s string) bool {
	if len(s) < 1 || len(s) > 3 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Enhance returns the reply with an enhanced status code in each line: if it has
// none, the general one of its class, such as "2.0.0". A server that offers
// ENHANCEDSTATUSCODES must send one (RFC 2034, Section 4).
func (r Reply) Enhance() Reply {
	if r.Enhanced() != "" || r.Intermediate() {
		return r
	}
	prefix := strconv.Itoa(r.Code/100) + ".0.0 "
	lines := make([]string, len(r.Lines))
	for i, line := range r.Lines {
		lines[i] = prefix + line
	}
	return Reply{Code: r.Code, Lines: lines, Remote: r.Remote}
}

// Clip returns the reply with lines of at most 512 bytes and 4,000 bytes in all, so that
// every sender can read it. What is cut off is marked. Each line keeps the enhanced status
// code of the first.
func (r Reply) Clip() Reply {
	if r.fits() {
		return r
	}
	code := ""
	if enhanced := r.Enhanced(); enhanced != "" {
		code = enhanced + " "
	}
	more := code + "and more"
	clipped := Reply{Code: r.Code, Remote: r.Remote}
	size := lineOverhead + len(more)
	for _, line := range r.Lines {
		line = clipLine(line, code)
		if size += lineOverhead + len(line); size > maxPassedReply {
			clipped.Lines = append(clipped.Lines, more)
			break
		}
		clipped.Lines = append(clipped.Lines, line)
	}
	return clipped
}

func (r Reply) fits() bool {
	size := 0
	for _, line := range r.Lines {
		if len(line) > maxPassedLine-lineOverhead {
			return false
		}
		size += lineOverhead + len(line)
	}
	return size <= maxPassedReply
}

// clipLine cuts the text of a line after the enhanced status code.
func clipLine(line, code string) string {
	if len(line) <= maxPassedLine-lineOverhead {
		return line
	}
	text, found := strings.CutPrefix(line, code)
	if !found {
		code = ""
	}
	return code + safetext.Reply(text, maxPassedLine-lineOverhead-len(code)-len("..."))
}

// Text returns the text in one line, for logs.
func (r Reply) Text() string { return strings.Join(r.Lines, " / ") }

// String returns the reply in one line, as in "250 2.0.0 done".
func (r Reply) String() string { return strconv.Itoa(r.Code) + " " + r.Text() }

// Append appends the reply in wire form to b.
func (r Reply) Append(b []byte) []byte {
	for i, line := range r.Lines {
		b = strconv.AppendInt(b, int64(r.Code), 10)
		if i < len(r.Lines)-1 {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		b = append(b, line...)
		b = append(b, '\r', '\n')
	}
	return b
}

// ReadReply reads one reply from r: at most 128 lines of 2,048 bytes, all with
// the same code from 200 to 599. Lines may end in LF alone, as some servers end
// them. The text is safe to pass on, to log and to print: what is not printable
// has become a space, what is not UTF-8 U+FFFD (see [safetext.Reply]).
//
// It takes no byte beyond the reply: replies to pipelined commands stay in r
// (RFC 2920), and r.Buffered says whether the server went on. The size of r's
// buffer does not matter. Deadlines are the caller's.
//
// It returns an error wrapping [ErrReply], which quotes the line, or r's error:
// io.EOF where the connection ended before or within the reply.
func ReadReply(r *bufio.Reader) (Reply, error) {
	reply := Reply{Remote: true}
	for len(reply.Lines) < maxReplyLines {
		line, err := readReplyLine(r)
		if err != nil {
			return Reply{}, err
		}
		code, text, more, err := parseReplyLine(line)
		if err != nil {
			return Reply{}, err
		}
		if len(reply.Lines) > 0 && code != reply.Code {
			return Reply{}, fmt.Errorf("%w: code %d follows %d", ErrReply, code, reply.Code)
		}
		reply.Code = code
		reply.Lines = append(reply.Lines, text)
		if !more {
			return reply, nil
		}
	}
	return Reply{}, fmt.Errorf("%w: more than %d lines", ErrReply, maxReplyLines)
}

// readReplyLine returns a line, valid until the next read.
func readReplyLine(r *bufio.Reader) ([]byte, error) {
	var start []byte // of a line that is longer than r's buffer
	for {
		line, err := r.ReadSlice('\n')
		if len(start) > 0 {
			line = append(start, line...)
		}
		switch {
		case len(line) > maxReplyLine:
			return nil, fmt.Errorf("%w: line of more than %d bytes", ErrReply, maxReplyLine)
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
		start = bytes.Clone(line) // the next read overwrites it
	}
}

func parseReplyLine(line []byte) (code int, text string, more bool, err error) {
	if len(line) < 3 || !isNumber(string(line[:3])) || line[0] < '2' || line[0] > '5' {
		return 0, "", false, fmt.Errorf("%w: %.60q", ErrReply, line)
	}
	code, _ = strconv.Atoi(string(line[:3]))
	if len(line) == 3 {
		return code, "", false, nil
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, "", false, fmt.Errorf("%w: %.60q", ErrReply, line)
	}
	return code, safetext.Reply(string(line[4:]), maxReplyLine), line[3] == '-', nil
}

// A Refusal is an error with the reply that the sender gets for it.
type Refusal struct {
	Reply Reply
}

// Error returns the reply in one line.
func (r *Refusal) Error() string { return "smtp: " + r.Reply.String() }

func refuse(code int, enhanced, text string) error {
	return &Refusal{Reply: NewReply(code, enhanced, text)}
}
