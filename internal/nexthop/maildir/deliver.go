package maildir

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
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
