package tlsrptin

import (
	"errors"
	"fmt"
	"sync"

	"postern/tlsrpt"
)

var (
	errBusy = errors.New("too many reports come at once")
	errLong = fmt.Errorf("more than %d bytes: %w", tlsrpt.MaxMailSize, tlsrpt.ErrTooLarge)
)

// A room is the memory that all share who hold a mail or a body, in bytes.
type room struct {
	mu   sync.Mutex
	left int
}

func (r *room) take(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > r.left {
		return false
	}
	r.left -= n
	return true
}

func (r *room) give(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left += n
}

// A held is a mail or a body while it is read. It grows as that comes, so that
// those who send slowly take up little.
type held struct {
	room  *room
	bytes []byte
	lost  error // why there are no bytes any more
}

// Write keeps p, if it can. It never fails, since the mail must go on.
func (h *held) Write(p []byte) (int, error) {
	if h.lost == nil {
		h.lost = h.grow(len(p))
	}
	if h.lost != nil {
		h.free()
		return len(p), nil
	}
	h.bytes = append(h.bytes, p...)
	return len(p), nil
}

// least is what one takes at first: most reports have some 5 KiB.
const least = 8 << 10

// grow makes room for n bytes more.
func (h *held) grow(n int) error {
	need := len(h.bytes) + n
	if need > tlsrpt.MaxMailSize {
		return errLong
	}
	if need <= cap(h.bytes) {
		return nil
	}
	size := max(need, 2*cap(h.bytes), least)
	if !h.room.take(size - cap(h.bytes)) {
		return errBusy
	}
	larger := make([]byte, len(h.bytes), size)
	copy(larger, h.bytes)
	h.bytes = larger
	return nil
}

// free gives the room back.
func (h *held) free() {
	h.room.give(cap(h.bytes))
	h.bytes = nil
}
