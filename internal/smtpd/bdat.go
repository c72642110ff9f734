package smtpd

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"postern/internal/smtp"
)

// bdat receives a message with BDAT (RFC 3030). It reads the following chunks as well, when
// the next hop reads on.
func (s *session) bdat(arg string) {
	size, last, ok := parseChunk(arg)
	if !ok {
		// The length of the chunk is unknown, so what follows cannot be a command.
		s.hangUp(smtp.NewReply(501, "5.5.4", "expected BDAT size [LAST]"), "bad BDAT")
		return
	}
	chunks := &chunkReader{s: s, left: size, last: last}
	if reply := s.mayText(); reply != nil {
		s.refuseChunk(chunks, *reply)
		return
	}
	s.timed.start(s.setup.Limits.TextTimeout)
	text := smtp.NewTextChecker(chunks, s.setup.Limits.text())
	reply := s.deliver(text)
	if chunks.stop != nil {
		s.count(text.Size())
		chunks.stop()
		return
	}
	s.received(text, io.LimitReader(s.in, chunks.left), reply)
}

// parseChunk parses the argument of BDAT.
func parseChunk(arg string) (size int64, last, ok bool) {
	number, word, more := strings.Cut(arg, " ")
	n, err := strconv.ParseUint(number, 10, 63)
	last = strings.EqualFold(word, "LAST")
	return int64(n), last, err == nil && (last || !more)
}

// refuseChunk discards a chunk and replies.
func (s *session) refuseChunk(c *chunkReader, reply smtp.Reply) {
	if s.end != "" {
		return
	}
	s.timed.start(s.setup.Limits.TextTimeout)
	if err := s.discard(io.LimitReader(s.in, c.left)); err != nil {
		s.unfinished(reply, err)
		return
	}
	s.reply(reply)
}

// A chunkReader reads a message that is sent in chunks: it replies to each chunk and reads
// the next BDAT command.
type chunkReader struct {
	s    *session
	left int64 // of this chunk
	last bool
	stop func() // executes the command that came instead of the next BDAT
}

// largeChunk is the size from which a chunk does not count as a command: the limit on
// message size bounds the number of these.
const largeChunk = 4 << 10

var (
	errStopped    = errors.New("smtpd: message cancelled between chunks")
	errManyChunks = errors.New("smtpd: too many chunks")
)

// Read reads the chunks as one text.
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

// next replies to the last chunk and reads the next BDAT command.
func (c *chunkReader) next() error {
	s := c.s
	resume := s.timed.pause()
	s.put(s.command, smtp.NewReply(250, "2.0.0", "chunk received"))
	line, err := s.readCommand()
	if err != nil {
		c.stop = func() { s.readFailed(err) }
		return errStopped
	}
	verb, arg, err := smtp.ParseCommand(line)
	size, last, ok := parseChunk(arg)
	chunk := err == nil && verb == "BDAT" && ok
	if !(chunk && size >= largeChunk) && !s.countCommand() {
		c.stop = func() { s.readFailed(errManyChunks) }
		return errStopped
	}
	if !chunk {
		c.stop = func() { s.insteadOfChunk(verb, arg) }
		return errStopped
	}
	c.left, c.last = size, last
	resume()
	return nil
}

// insteadOfChunk executes a command between chunks. RSET, QUIT and a new greeting cancel
// the message; others are errors (RFC 3030, Section 2).
func (s *session) insteadOfChunk(verb, arg string) {
	s.hop.Reset()
	s.reset()
	s.command = s.newCommand(verb, arg)
	switch verb {
	case "RSET", "QUIT", "EHLO", "HELO", "NOOP":
		s.dispatch(verb, arg)
	default:
		s.hangUp(smtp.NewReply(503, "5.5.1", "expected BDAT or RSET"), "unexpected command between chunks")
	}
}
