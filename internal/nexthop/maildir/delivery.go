package maildir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// bufferSize is the memory that a delivery uses. Most messages fit, and are written by
// one call; many slow senders at once still need little.
const bufferSize = 16 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// errIncomplete says that the message ended too early or was invalid: the folder is
// not at fault.
var errIncomplete = errors.New("message incomplete")

// deliver stores the message and returns the name of its file in new/. After
// an error nothing of it is left.
func (m *Maildir) deliver(message io.Reader) (name string, err error) {
	unique := m.uniqueName(time.Now())
	f, err := m.create(unique)
	if err != nil {
		return "", err
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	stored, wire, err := store(f, message, buf[:])
	if err != nil {
		f.Discard()
		return "", err
	}
	name = fmt.Sprintf("%s,S=%d,W=%d", unique, stored, wire)
	begun := time.Now()
	if err = f.Commit(name); err == nil && m.Observe != nil {
		m.Observe(time.Since(begun), false)
	}
	return name, err
}

// isFull reports whether err says that the disk or a quota is full, which may pass by
// itself.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// store copies the message to w through buf, of at least two bytes, with LF in place
// of CRLF. It returns the size in bytes as stored and with CRLF. Errors of r wrap
// errIncomplete.
func store(w io.Writer, r io.Reader, buf []byte) (stored, wire int64, err error) {
	held := 0 // 1 if the last piece ended in CR: its LF may follow
	for {
		n, err := fill(r, buf[held:])
		if err != nil && err != io.EOF {
			return stored, wire, fmt.Errorf("%w: %w", errIncomplete, err)
		}
		wire += int64(n)
		piece := buf[:held+n]
		held = 0
		if err == nil && piece[len(piece)-1] == '\r' {
			held = 1
			piece = piece[:len(piece)-1]
		}
		written, failed := w.Write(cutCR(piece))
		stored += int64(written)
		if failed != nil || err == io.EOF {
			return stored, wire, failed
		}
		buf[0] = '\r' // part of the next piece if held is 1
	}
}

// fill reads until p is full or r returns an error. io.ReadFull would return
// io.ErrUnexpectedEOF for a text that ends within p, which r returns for an
// incomplete one.
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

// uniqueName returns a name that no other delivery has: the time in seconds and
// microseconds, the process, a counter, a random number and the host. The random number is
// drawn once for a Maildir: a clock may be set back, and a process may have the number of
// the one before it, as in a container.
func (m *Maildir) uniqueName(now time.Time) string {
	return fmt.Sprintf("%d.M%dP%dQ%dR%016x.%s",
		now.Unix(), now.Nanosecond()/1000, os.Getpid(), m.deliveries.Add(1), m.random, m.host)
}

// escapeHost escapes what has a meaning in the file names of a Maildir, and what no
// host name should contain, as a backslash and three octal digits.
func escapeHost(host string) string {
	var b strings.Builder
	for i := range len(host) {
		if c := host[i]; isHostByte(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\%03o`, c)
		}
	}
	return b.String()
}

func isHostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '.' || c == '-' || c == '_'
}
