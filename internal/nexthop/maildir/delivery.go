package maildir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// bufferSize is what one delivery takes of memory. Most messages fit and are
// written by one call; many slow senders at once are still cheap.
const bufferSize = 16 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// errBrokenOff says that the message did not come whole: no fault of the
// folder.
var errBrokenOff = errors.New("message broken off")

// deliver stores the message and returns the name of its file in new/. After
// an error nothing of it is left.
func (m *Maildir) deliver(message io.Reader) (name string, err error) {
	unique := uniqueName(time.Now(), m.host)
	f, err := m.create(filepath.Join(m.dir, "tmp", unique))
	if err != nil {
		return "", err
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	size, err := store(f, message, buf[:])
	if err != nil {
		f.Discard()
		return "", err
	}
	name = fmt.Sprintf("%s,S=%d,W=%d", unique, size.stored, size.wire)
	return name, f.Commit(name)
}

// isFull reports that there is no room, which may end without anybody's help.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

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

var deliveries atomic.Uint64 // begun by this process

// uniqueName makes a name that no other delivery has: by the time in seconds
// and microseconds, the process, a counter and the host. Should it be taken
// all the same, since a clock was set back, the delivery is refused.
func uniqueName(now time.Time, host string) string {
	return fmt.Sprintf("%d.M%dP%dQ%d.%s",
		now.Unix(), now.Nanosecond()/1000, os.Getpid(), deliveries.Add(1), host)
}

// escapeHost writes what has a meaning in file names of a Maildir, and what no
// host name should have, as a backslash and three octal digits.
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
