// Package password makes the passwords of the dashboard's users, and checks them by their
// argon2id hashes (RFC 9106).
package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/argon2"
)

// A Hash is what is stored of a password. The zero Hash matches no password, and takes as long
// to say so as others do.
type Hash struct {
	costs
	salt, key string // bytes
}

type costs struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

// usual are the costs of a new hash, those of OWASP's Password Storage Cheat Sheet: the
// passwords made here have 128 random bits, so a server with little memory matters more.
var usual = costs{memory: 19 << 10, passes: 2, threads: 1}

// Bounds of the hashes of other programs: a login must not take the machine from mail.
const (
	maxMemory  = 64 << 10 // KiB
	maxPasses  = 10
	maxThreads = 4
	saltSize   = 16
	keySize    = 32
	maxSize    = 64 // of salt and key

	maxPassword = 1024 // bytes
)

// New returns a random password and its hash.
func New() (password string, hash Hash) {
	password = rand.Text()
	salt := make([]byte, saltSize)
	rand.Read(salt)
	hash = Hash{costs: usual, salt: string(salt)}
	hash.key = string(hash.derive(password, keySize))
	return password, hash
}

// one bounds the memory and the processors that logins take: one at a time.
var one sync.Mutex

func (h Hash) derive(password string, size int) []byte {
	one.Lock()
	defer one.Unlock()
	return argon2.IDKey([]byte(password), []byte(h.salt), h.passes, h.memory, h.threads, uint32(size))
}

// Matches reports whether the hash is that of password. Callers take turns; each takes some
// 30 ms and 19 MiB.
func (h Hash) Matches(password string) bool {
	known := h.key != ""
	if !known {
		h = Hash{costs: usual, salt: strings.Repeat("\x00", saltSize), key: strings.Repeat("\x00", keySize)}
	}
	if len(password) > maxPassword {
		return false
	}
	return subtle.ConstantTimeCompare(h.derive(password, len(h.key)), []byte(h.key)) == 1 && known
}

var base = base64.RawStdEncoding.Strict()

const form = "$argon2id$v=19$m=%d,t=%d,p=%d$"

// String returns the hash in the usual form, $argon2id$v=19$m=19456,t=2,p=1$salt$key.
func (h Hash) String() string {
	return fmt.Sprintf(form, h.memory, h.passes, h.threads) + base.EncodeToString([]byte(h.salt)) + "$" + base.EncodeToString([]byte(h.key))
}

// Parse reads a hash in the form of [Hash.String]. The error says what is wrong, without the
// hash.
func Parse(text string) (Hash, error) {
	var h Hash
	fields := strings.Split(text, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != "v=19" {
		return Hash{}, errors.New("not an argon2id hash")
	}
	if _, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.threads); err != nil {
		return Hash{}, errors.New("an argon2id hash without its costs m, t and p")
	}
	salt, err1 := base.DecodeString(fields[4])
	key, err2 := base.DecodeString(fields[5])
	h.salt, h.key = string(salt), string(key)
	switch {
	case h.memory > maxMemory || h.passes > maxPasses || h.threads > maxThreads:
		return Hash{}, fmt.Errorf("an argon2id hash that costs more than m=%d,t=%d,p=%d", maxMemory, maxPasses, maxThreads)
	case h.threads < 1 || h.passes < 1 || h.memory < 8*uint32(h.threads):
		return Hash{}, errors.New("an argon2id hash with costs that are too low")
	case err1 != nil || err2 != nil || len(salt) < 8 || len(salt) > maxSize || len(key) < 16 || len(key) > maxSize:
		return Hash{}, errors.New("an argon2id hash that is cut off or damaged")
	}
	return h, nil
}
