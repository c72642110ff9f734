package server

import (
	"net/netip"
	"sync"
	"time"

	"postern/internal/admission"
	"postern/sessionticket"
)

const (
	// completedAge is how long the transcript of a handshake that a sender completed is good
	// enough. Its software rarely changes without its fingerprint.
	completedAge = 24 * time.Hour

	// maxCompleted bounds the senders that are remembered. Of one that is forgotten another
	// transcript is stored.
	maxCompleted = 1 << 13
)

// completed chooses the handshakes that completed whose transcripts are stored: a failed one of the
// same sender can then be compared with it, message by message.
type completed struct {
	mu     sync.Mutex
	stored *admission.Memory[senderKey, storedTranscript]
}

func newCompleted() *completed {
	return &completed{stored: admission.NewMemory[senderKey, storedTranscript](maxCompleted, func(k senderKey) netip.Prefix { return k.network })}
}

type storedTranscript struct {
	mode sessionticket.Mode
	at   time.Time
}

// WantsCompleted wants one transcript a day of each sender, and one in each mode that it gets.
func (obs *observer) WantsCompleted(sender netip.Addr, ehlo, ja4 string, mode sessionticket.Mode) bool {
	return obs.completed.wants(senderKey{admission.Network(sender), ehlo, ja4}, mode, time.Now())
}

func (c *completed) wants(key senderKey, mode sessionticket.Mode, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, known := c.stored.Get(key); known && old.mode == mode && now.Sub(old.at) < completedAge {
		return false
	}
	c.stored.Set(key, storedTranscript{mode, now})
	return true
}
