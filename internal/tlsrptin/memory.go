package tlsrptin

import (
	"errors"
	"fmt"
	"sync"

	"postern/tlsrpt"
)

var (
	errBusy    = errors.New("too many reports at once")
	errTooLong = fmt.Errorf("more than %d bytes: %w", tlsrpt.MaxMailSize, tlsrpt.ErrTooLarge)
)

// A memoryBudget is the memory, in bytes, that all buffers share.
type memoryBudget struct {
	mu   sync.Mutex
	free int
}

// reserve reports whether n bytes were free. If so, they are reserved.
func (m *memoryBudget) reserve(n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n > m.free {
		return false
	}
	m.free -= n
	return true
}

func (m *memoryBudget) release(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free += n
}

// A buffer holds a message or a body while it is received. It grows with what arrives, so
// that slow senders do not reserve memory that they do not use.
type buffer struct {
	memory *memoryBudget
	bytes  []byte
	err    error // why the buffer was dropped
}

// Write appends p, or drops the buffer if there is no memory. It returns no error, since
// the message itself must reach the next hop.
func (b *buffer) Write(p []byte) (int, error) {
	if b.err == nil {
		b.err = b.grow(len(p))
	}
	if b.err != nil {
		b.release()
		return len(p), nil
	}
	b.bytes = append(b.bytes, p...)
	return len(p), nil
}

// minBuffer is the initial size of a buffer: most reports have about 5 KiB.
const minBuffer = 8 << 10

// grow makes room for n more bytes.
func (b *buffer) grow(n int) error {
	need := len(b.bytes) + n
	if need > tlsrpt.MaxMailSize {
		return errTooLong
	}
	if need <= cap(b.bytes) {
		return nil
	}
	size := max(need, 2*cap(b.bytes), minBuffer)
	if !b.memory.reserve(size - cap(b.bytes)) {
		return errBusy
	}
	larger := make([]byte, len(b.bytes), size)
	copy(larger, b.bytes)
	b.bytes = larger
	return nil
}

// release returns the buffer's memory to the budget.
func (b *buffer) release() {
	b.memory.release(cap(b.bytes))
	b.bytes = nil
}
