package fleet

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"
)

// A ring has the keys of session tickets: of TLS 1.3 and 1.2, AES-128 and HMAC (crypto/tls).
//
// The next key is made a day before tickets are encrypted with it, so that every host has it by
// then, however its clock differs.
type ring struct {
	Turn    uint64     // how often the ring was turned; a later one replaces an earlier one
	Next    [32]byte   // decrypts, and is used from the next turn on
	Current [32]byte   // encrypts
	Since   time.Time  // of Current
	Old     [][32]byte // decrypt, the latest first
}

const (
	// turnAfter is how long a key encrypts. Crypto/tls turns its own keys daily too.
	turnAfter = 24 * time.Hour

	// oldKeys is how many days after its last use a key decrypts: the lifetime of a ticket
	// (RFC 8446, Section 4.6.1, and crypto/tls).
	oldKeys = 7

	// aloneAfter is when a host without NATS turns its own ring: a key that was stolen shall
	// open no more than its days.
	aloneAfter = 2 * turnAfter
)

func newRing(now time.Time) ring {
	return ring{Next: newKey(), Current: newKey(), Since: now}
}

func newKey() (key [32]byte) {
	rand.Read(key[:])
	return key
}

// turn returns the ring with its next key in use.
func (r ring) turn(now time.Time) ring {
	old := append([][32]byte{r.Current}, r.Old...)
	return ring{
		Turn: r.Turn + 1, Next: newKey(), Current: r.Next, Since: now,
		Old: old[:min(len(old), oldKeys)],
	}
}

// dueAfter reports whether the current key was in use for that long, by this host's clock. A clock that
// is ahead by days may have made it; then it is due too.
func (r ring) dueAfter(age time.Duration, now time.Time) bool {
	return now.Sub(r.Since).Abs() >= age
}

// is reports whether both rings are of the same turn, by the same host.
func (r ring) is(other ring) bool {
	return r.Turn == other.Turn && r.Current == other.Current && r.Next == other.Next
}

// keys returns the keys as [tls.Config.SetSessionTicketKeys] takes them.
func (r ring) keys() [][32]byte {
	return append([][32]byte{r.Current, r.Next}, r.Old...)
}

// A storedRing is a ring in JSON.
type storedRing struct {
	Turn    uint64    `json:"turn"`
	Since   time.Time `json:"since"`
	Next    []byte    `json:"next"`
	Current []byte    `json:"current"`
	Old     [][]byte  `json:"old"`
}

func (r ring) encode() []byte {
	stored := storedRing{Turn: r.Turn, Since: r.Since, Next: r.Next[:], Current: r.Current[:]}
	for _, key := range r.Old {
		stored.Old = append(stored.Old, key[:])
	}
	text, err := json.Marshal(stored)
	if err != nil {
		panic(err) // it has nothing that JSON cannot say
	}
	return text
}

func decodeRing(text []byte) (r ring, err error) {
	var stored storedRing
	if err := json.Unmarshal(text, &stored); err != nil {
		return ring{}, fmt.Errorf("decoding ticket keys: %w", err)
	}
	r.Turn, r.Since = stored.Turn, stored.Since
	read := func(key []byte) (k [32]byte) {
		if copy(k[:], key) < len(k) || len(key) > len(k) {
			err = fmt.Errorf("decoding ticket keys: one has %d bytes, not %d", len(key), len(k))
		}
		return k
	}
	r.Next, r.Current = read(stored.Next), read(stored.Current)
	for _, key := range stored.Old[:min(len(stored.Old), oldKeys)] {
		r.Old = append(r.Old, read(key))
	}
	return r, err
}
