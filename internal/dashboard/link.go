package dashboard

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"postern/internal/oserror"
)

// A Key is the secret by which a server recognises the login links of its operator: who can
// read it may see the dashboard.
type Key [sha256.Size]byte

// NewKey returns a new key.
func NewKey() (k Key) {
	rand.Read(k[:])
	return k
}

// A Login is what the command that prints login links has to know of a running server. It is
// stored as JSON, in a file that only the server's user can read.
type Login struct {
	URL string `json:"url"` // of the first page
	Key Key    `json:"key"`
}

// ReadLogin reads the file.
func ReadLogin(file string) (l Login, err error) {
	content, err := oserror.ReadFile(file)
	if err != nil {
		return Login{}, err
	}
	if err := json.Unmarshal(content, &l); err != nil {
		return Login{}, fmt.Errorf("%s: %w", file, err)
	}
	return l, nil
}

// Link returns a link that logs its reader in, once, before linkTime is over.
func (l Login) Link(now time.Time) string {
	return strings.TrimSuffix(l.URL, "/") + "/login?token=" + l.Key.token(now)
}

// MarshalText returns the key as hexadecimal digits.
func (k Key) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText reads what MarshalText writes.
func (k *Key) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(k) {
		return errors.New("not a login key")
	}
	_, err := hex.Decode(k[:], text)
	return err
}

// linkTime is how long a login link can be used.
const linkTime = 10 * time.Minute

const (
	nonceSize = 16
	tokenSize = nonceSize + 8 + sha256.Size // nonce, time, code
)

// token returns the token of a login link, for one use before linkTime is over.
func (k Key) token(now time.Time) string {
	token := make([]byte, nonceSize, tokenSize)
	rand.Read(token)
	token = binary.BigEndian.AppendUint64(token, uint64(now.Add(linkTime).Unix()))
	return base64.RawURLEncoding.EncodeToString(k.code(token, token))
}

// code appends the message authentication code of text to out.
func (k Key) code(out, text []byte) []byte {
	h := hmac.New(sha256.New, k[:])
	h.Write([]byte("dashboard login\n"))
	h.Write(text)
	return h.Sum(out)
}

// verify returns the nonce of a token of the key and when the token ends.
func (k Key) verify(text string) (nonce [nonceSize]byte, until time.Time, ok bool) {
	token, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(token) != tokenSize {
		return nonce, until, false
	}
	said := token[:nonceSize+8]
	copy(nonce[:], said)
	until = time.Unix(int64(binary.BigEndian.Uint64(said[nonceSize:])), 0)
	return nonce, until, hmac.Equal(token, k.code(said[:len(said):len(said)], said))
}
