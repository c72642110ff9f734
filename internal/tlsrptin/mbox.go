package tlsrptin

import (
	"bufio"
	"bytes"
	"io"

	"postern/tlsrpt"
)

// eachMail calls do with the mails of an mbox (RFC 4155), numbered from 1. One that is too large
// comes as an error. Lines that were quoted with ">" lose that, as mboxrd has it.
func eachMail(in *bufio.Reader, do func(n int, mail []byte, err error) error) error {
	m := mbox{do: do, blank: true}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		if stop := m.take(line); stop != nil {
			return stop
		}
		m.within = err == bufio.ErrBufferFull
		if err == io.EOF {
			return m.end()
		}
	}
}

// An mbox is one that is read: the mail at hand.
type mbox struct {
	do     func(n int, mail []byte, err error) error
	n      int
	mail   bytes.Buffer
	long   bool
	blank  bool // the line before was empty
	within bool // the line has begun already
	from   bool // it is one that begins a mail
}

// take takes the next line, or the next part of one.
func (m *mbox) take(line []byte) error {
	if !m.within {
		if m.from = m.blank && bytes.HasPrefix(line, []byte("From ")); m.from {
			m.blank = false
			err := m.end()
			m.n++
			return err
		}
		m.blank = len(bytes.TrimRight(line, "\r\n")) == 0
		if quoted := bytes.TrimLeft(line, ">"); len(quoted) < len(line) && bytes.HasPrefix(quoted, []byte("From ")) {
			line = line[1:]
		}
	}
	if m.from {
		return nil
	}
	if m.long = m.long || m.mail.Len()+len(line) > tlsrpt.MaxMailSize; !m.long {
		m.mail.Write(line)
	}
	return nil
}

// end hands out the mail at hand, if there is one. It keeps the empty line at its end that
// the format adds: no signature minds it (RFC 6376, Section 3.4.3).
func (m *mbox) end() (err error) {
	if m.n > 0 {
		if m.long {
			err = errLong
		}
		err = m.do(m.n, m.mail.Bytes(), err)
	}
	m.mail.Reset()
	m.long = false
	return err
}
