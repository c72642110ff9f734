package smtpd

import (
	"bufio"
	"io"
	"sync"
)

// readers are used by sessions while there is something to read.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }}

// firstRead is how much an idle session reads at first: all of most commands, and of most
// groups of MAIL, RCPT and DATA.
const firstRead = 512

// An input is what a session reads from: conn, after what was read of it without a buffer.
type input struct {
	conn  io.Reader
	first [firstRead]byte
	head  []byte // of first, not read yet
}

// Read reads from the input.
func (in *input) Read(b []byte) (int, error) {
	if len(in.head) > 0 {
		n := copy(b, in.head)
		in.head = in.head[n:]
		return n, nil
	}
	return in.conn.Read(b)
}

// awaitInput waits until there is something to read. In the meantime the session has no buffer,
// since most sessions are idle most of the time.
func (s *session) awaitInput() error {
	if s.in.Buffered() > 0 {
		return nil
	}
	s.releaseReader()
	n, err := s.input.conn.Read(s.input.first[:])
	s.input.head = s.input.first[:n]
	s.acquireReader()
	if n > 0 {
		return nil // the next Read has the error again
	}
	return err
}

func (s *session) acquireReader() {
	s.in = readers.Get().(*bufio.Reader)
	s.in.Reset(&s.input)
}

func (s *session) releaseReader() {
	s.in.Reset(nil)
	readers.Put(s.in)
	s.in = nil
}
