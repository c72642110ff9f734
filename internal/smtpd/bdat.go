package smtpd

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"postern/internal/smtp"
)

// bdat takes a message by BDAT (RFC 3030). The chunks that follow are read
// from within, as the next hop asks for more.
func (s *session) bdat(arg string) {
	size, last, ok := parseChunk(arg)
	if !ok {
		// How many bytes follow is unknown, so nothing after can be a command.
		s.hangUp(smtp.NewReply(501, "5.5.4", "expected BDAT size [LAST]"), "bad BDAT")
		return
	}
	chunks := &chunkReader{s: s, left: size, last: last}
	if reply := s.mayText(); reply != nil {
		s.refuseChunk(chunks, *reply)
		return
	}
	s.phase = inChunks
	s.paced.start(s.setup.Limits.TextTimeout, s.setup.Limits.TextTimeout)
	text := smtp.NewTextChecker(chunks, s.setup.Limits.text())
	reply := s.deliver(text)
	if chunks.stop != nil {
		s.count(text.Size())
		chunks.stop()
		return
	}
	s.received(text, io.LimitReader(s.in, chunks.left), reply)
}

// parseChunk reads the argument of BDAT.
func parseChunk(arg string) (size int64, last, ok bool) {
	number, word, more := strings.Cut(arg, " ")
	n, err := strconv.ParseUint(number, 10, 62)
	last = strings.EqualFold(word, "LAST")
	return int64(n), last, err == nil && (last || !more)
}

// refuseChunk reads past a chunk that cannot be taken.
func (s *session) refuseChunk(c *chunkReader, reply smtp.Reply) {
	if s.end != "" {
		return
	}
	s.paced.start(s.setup.Limits.TextTimeout, s.setup.Limits.TextTimeout)
	s.discard(io.LimitReader(s.in, c.left))
	s.reply(reply)
}

// A chunkReader reads a message that comes in chunks: it answers each chunk
// and reads the next BDAT when the hop asks for more.
type chunkReader struct {
	s    *session
	left int64 // of this chunk
	last bool
	stop func() // another command came instead of the next chunk
}

// largeChunk is from where on a chunk does not count as a command: the bound on
// a message's size is one on their number too.
const largeChunk = 4 << 10

var (
	errStopped    = errors.New("smtpd: message given up between chunks")
	errManyChunks = errors.New("smtpd: too many chunks")
)

// Read gives out the chunks' bytes as one text.
func (c *chunkReader) Read(p []byte) (int, error) {
	for c.left == 0 {
		if c.last {
			return 0, io.EOF
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n, err := c.s.in.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next answers the chunk that is over and waits for the command that begins
// another.
func (c *chunkReader) next() error {
	s := c.s
	s.put(smtp.NewReply(250, "2.0.0", "chunk taken"))
	line, err := s.readCommand()
	if err != nil {
		c.stop = func() { s.cannotRead(err) }
		return errStopped
	}
	verb, arg, err := smtp.ParseCommand(line)
	size, last, ok := parseChunk(arg)
	chunk := err == nil && verb == "BDAT" && ok
	if !(chunk && size >= largeChunk) && !s.mayCommand() {
		c.stop = func() { s.cannotRead(errManyChunks) }
		return errStopped
	}
	if !chunk {
		c.stop = func() { s.insteadOfChunk(verb, arg) }
		return errStopped
	}
	c.left, c.last = size, last
	s.paced.start(s.setup.Limits.TextTimeout, s.setup.Limits.TextTimeout)
	return nil
}

// insteadOfChunk serves a command that came between chunks. RSET, QUIT and a
// new greeting give the message up; others are out of turn (RFC 3030,
// Section 2).
func (s *session) insteadOfChunk(verb, arg string) {
	s.hop.Reset()
	s.reset()
	switch verb {
	case "RSET", "QUIT", "EHLO", "HELO", "NOOP":
		s.dispatch(verb, arg)
	default:
		s.hangUp(smtp.NewReply(503, "5.5.1", "expected BDAT or RSET"), "out of turn between chunks")
	}
}
