package tlsrptin

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"postern/internal/admission"
	"postern/tlsrpt"
)

var (
	errBusy    = errors.New("too many reports at once")
	errTooSlow = fmt.Errorf("took more than %v to arrive", maxReceiving)
	errTooLong = fmt.Errorf("more than %d bytes: %w", tlsrpt.MaxMailSize, tlsrpt.ErrTooLarge)
)

const (
	mailRoom = 4 * tlsrpt.MaxMailSize
	postRoom = 4 * MaxBody

	// maxReceiving bounds how long a message may take to arrive: 40 KB a second for the
	// largest one.
	maxReceiving = 5 * time.Minute

	// A buffer grows by doubling from minGrowth, since most reports have about 5 KiB, and at
	// last by maxGrowth, so that it reserves little beyond its content.
	minGrowth = 8 << 10
	maxGrowth = 1 << 20
)

// A room is the memory, in bytes, for messages that arrive or wait to be read. When it is full, the
// network that holds most loses a message to one that would hold less: so whoever holds much
// only displaces their own, and n networks have an nth of the room each.
type room struct {
	mu       sync.Mutex
	free     int
	networks map[netip.Prefix]*holding
}

// A holding is what the messages of one network take.
type holding struct {
	taken   int
	buffers map[*buffer]bool
}

func newRoom(size int) *room { return &room{free: size, networks: make(map[netip.Prefix]*holding)} }

// A buffer holds a message or a body. It grows with what arrives, so that slow senders do not
// take room that they do not use. It is dropped if that takes too long, or to make room.
type buffer struct {
	room     *room
	from     netip.Prefix
	most     int // bytes
	deadline *time.Timer

	// Guarded by the room's mutex.
	bytes []byte
	err   error // why the buffer was dropped
	inUse bool
}

// buffer returns an empty buffer for a message of a client, of most bytes at most. It must be
// released.
func (r *room) buffer(client netip.Addr, most int) *buffer {
	b := &buffer{room: r, from: admission.Holder(client), most: most}
	b.deadline = time.AfterFunc(maxReceiving, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !b.inUse { // else it has arrived
			b.drop(errTooSlow)
		}
	})
	return b
}

// Write appends p, or drops the buffer if there is no room. It returns no error, since the
// message itself must reach the next hop.
func (b *buffer) Write(p []byte) (int, error) {
	b.room.mu.Lock()
	defer b.room.mu.Unlock()
	if b.err != nil {
		return len(p), nil
	}
	if err := b.grow(len(p)); err != nil {
		b.drop(err)
	} else {
		b.bytes = append(b.bytes, p...)
	}
	return len(p), nil
}

// grow makes room for n more bytes.
func (b *buffer) grow(n int) error {
	need, has := len(b.bytes)+n, cap(b.bytes)
	if need > b.most {
		return errTooLong
	}
	if need <= has {
		return nil
	}
	size := min(max(need, has+min(max(has, minGrowth), maxGrowth)), b.most)
	if !b.room.reserve(b, size-has) {
		return errBusy
	}
	b.bytes = append(make([]byte, 0, size), b.bytes...)
	return nil
}

// use returns the content, which has arrived, or why the buffer was dropped. Until rest is called
// it is not dropped to make room.
func (b *buffer) use() ([]byte, error) {
	b.room.mu.Lock()
	defer b.room.mu.Unlock()
	b.inUse = true
	return b.bytes, b.err
}

// rest ends the use of the content, which may be used again later.
func (b *buffer) rest() {
	b.room.mu.Lock()
	defer b.room.mu.Unlock()
	b.inUse = false
}

// release returns the buffer's memory to the room. The content must not be used any more.
func (b *buffer) release() {
	b.deadline.Stop()
	b.room.mu.Lock()
	defer b.room.mu.Unlock()
	b.drop(errBusy)
}

// drop empties the buffer because of an error.
func (b *buffer) drop(err error) {
	if b.err == nil {
		b.err = err
	}
	h := b.room.networks[b.from]
	if h == nil || !h.buffers[b] {
		return
	}
	b.room.free += cap(b.bytes)
	h.taken -= cap(b.bytes)
	b.bytes = nil
	if delete(h.buffers, b); len(h.buffers) == 0 {
		delete(b.room.networks, b.from)
	}
}

// reserve reports whether b may have n bytes more. If so, they are reserved.
func (r *room) reserve(b *buffer, n int) bool {
	h := r.networks[b.from]
	if h == nil {
		h = &holding{buffers: make(map[*buffer]bool)}
	}
	for r.free < n {
		victim := r.victim(h.taken + n)
		if victim == nil {
			return false
		}
		victim.drop(errBusy)
	}
	r.free -= n
	h.taken += n
	h.buffers[b] = true
	r.networks[b.from] = h
	return true
}

// victim returns the largest message of the network that holds most, if that is more than
// least: the one to drop. It returns nil if there is none.
func (r *room) victim(least int) (largest *buffer) {
	var most *holding
	for _, h := range r.networks {
		if h.taken > least && (most == nil || h.taken > most.taken) {
			most = h
		}
	}
	if most == nil {
		return nil
	}
	for b := range most.buffers {
		if !b.inUse && (largest == nil || cap(b.bytes) > cap(largest.bytes)) {
			largest = b
		}
	}
	return largest
}
