package smtpd

import (
	"errors"
	"io"
	"slices"
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
	refused := s.mayText()
	s.flushBefore(size)
	switch {
	case s.end != "":
		return
	case refused != nil:
		s.refuseChunk(chunks, *refused)
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

// flushBefore sends the waiting replies unless a chunk of a size is here already: its sender may
// wait for them before it sends more (RFC 2920, Section 3.2).
func (s *session) flushBefore(size int64) {
	if int64(s.in.Buffered()) < size {
		s.flush()
	}
}

// refuseChunk discards a chunk and replies.
func (s *session) refuseChunk(c *chunkReader, reply smtp.Reply) {
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

// anytime are the commands that change nothing (RFC 5321, Section 4.1.4). RFC 3030 does not speak
// of them between chunks; Postfix and Exim answer NOOP there too, and take the next chunk.
var anytime = []string{"NOOP", "VRFY", "EXPN", "HELP"}

// next replies to the last chunk and reads the next BDAT command.
func (c *chunkReader) next() error {
	s := c.s
	resume := s.timed.pause()
	s.put(s.command, smtp.NewReply(250, "2.0.0", "chunk received"))
	for {
		line, err := s.readCommand()
		if err != nil {
			return c.stopWith(func() { s.readFailed(err) })
		}
		verb, arg, err := smtp.ParseCommand(line)
		size, last, ok := parseChunk(arg)
		chunk := err == nil && verb == "BDAT" && ok
		if !(chunk && size >= largeChunk) && !s.countCommand() {
			return c.stopWith(func() { s.readFailed(errManyChunks) })
		}
		switch {
		case chunk:
			c.left, c.last = size, last
			s.command = s.newCommand(verb, arg)
			s.flushBefore(size)
			if s.end != "" {
				return c.stopWith(func() {})
			}
			resume()
			return nil
		case slices.Contains(anytime, verb):
			s.command = s.newCommand(verb, arg)
			s.dispatch(verb, arg)
		default:
			return c.stopWith(func() { s.insteadOfChunk(verb, arg) })
		}
	}
}

// stopWith cancels the message. The next hop has given it up when stop is called.
func (c *chunkReader) stopWith(stop func()) error {
	c.stop = stop
	return errStopped
}

// insteadOfChunk executes a command that cannot be followed by another chunk. RSET, QUIT and a new
// greeting cancel the message; others are errors, as RFC 3030, Section 2, says of DATA.
func (s *session) insteadOfChunk(verb, arg string) {
	s.hop.Reset()
	s.reset()
	s.command = s.newCommand(verb, arg)
	switch verb {
	case "RSET", "QUIT", "EHLO", "HELO":
		s.dispatch(verb, arg)
	default:
		s.hangUp(smtp.NewReply(503, "5.5.1", "expected BDAT or RSET"), "unexpected command between chunks")
	}
}
