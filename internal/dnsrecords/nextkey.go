package dnsrecords

import (
	"crypto"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"postern/internal/certs"
	"postern/internal/durable"
)

// A NextKey is a private key prepared for the next certificate of a host, in a
// file. A file beside it has the time at which its TLSA record was first seen.
type NextKey struct {
	File    string
	Current []crypto.PublicKey // of the certificates that the host presents
}

func (n NextKey) seenFile() string { return n.File + ".seen" }

// Prepare makes the key and its folder, unless there is a key that is not in use
// yet.
func (n NextKey) Prepare() (created bool, err error) {
	next, err := n.Public()
	if err != nil {
		return false, err
	}
	if next != nil && !n.InUse(next) {
		return false, nil
	}
	if next != nil {
		err = errors.Join(remove(n.File), remove(n.seenFile()))
	}
	if err == nil {
		err = durable.MkdirAll(filepath.Dir(n.File), 0o700)
	}
	if err == nil {
		_, err = certs.LoadOrCreateKey(n.File)
	}
	return err == nil, err
}

// InUse reports whether the host presents a certificate of the key.
func (n NextKey) InUse(key crypto.PublicKey) bool { return contains(n.Current, key) }

// Public returns the public key, nil if none is prepared.
func (n NextKey) Public() (crypto.PublicKey, error) {
	key, err := certs.LoadKey(n.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return key.Public(), nil
}

// FirstSeen returns when its TLSA record was first seen, zero if that is not
// known.
func (n NextKey) FirstSeen() time.Time {
	content, _ := os.ReadFile(n.seenFile()) // without it the wait starts over
	at, _ := time.Parse(time.RFC3339, strings.TrimSpace(string(content)))
	return at
}

// Note stores when the TLSA record was first seen. A time to come was noted by a clock that
// was set back since, and is replaced. It returns the file that it has written, if any.
func (n NextKey) Note(r Rollover, now time.Time) (file string, err error) {
	seen := n.FirstSeen()
	switch {
	case r.Step == Undecided:
		return "", nil
	case !r.NextPublished:
		return "", remove(n.seenFile())
	case seen.IsZero(), seen.After(now):
		return n.seenFile(), durable.WriteFile(n.seenFile(), []byte(now.UTC().Format(time.RFC3339)+"\n"), 0o600)
	}
	return "", nil
}

// remove removes a file that may not exist.
func remove(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
