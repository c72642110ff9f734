// Package probekey is how a server recognises the sessions of its own operator's probes.
//
// Server and probe share a [Key]. The server's greeting names the session; the probe replies
// with an EHLO name that is made of the key and of that session, which the server verifies:
//
//	name := key.EHLO("early-ticket", session)      // the probe
//	client, ok := key.Verify(name, session)        // the server: early-ticket.probe.invalid
//
// The name is worth nothing in another session, so that whoever reads it on the way, or runs
// a server that is probed, cannot use it.
package probekey

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// A Key is a secret of server and probe. The zero Key verifies nothing.
type Key struct{ secret []byte }

// secretSize is that of the hash (RFC 2104, Section 3).
const secretSize = sha256.Size

// New returns a new key.
func New() Key {
	secret := make([]byte, secretSize)
	rand.Read(secret)
	return Key{secret}
}

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Parse returns the key in the text of a file, as [Key.Text] wrote it.
func Parse(text []byte) (Key, error) {
	secret, err := encoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) != secretSize {
		return Key{}, errors.New("expected a line of 52 letters and digits, as postern serve writes to probe.key")
	}
	return Key{secret}, nil
}

// ReadFile reads the key in the file at path.
func ReadFile(path string) (Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, err
	}
	key, err := Parse(text)
	if err != nil {
		return Key{}, fmt.Errorf("probekey: %s: %w", path, err)
	}
	return key, nil
}

// Text returns the key as a line of text.
func (k Key) Text() []byte { return []byte(encoding.EncodeToString(k.secret) + "\n") }

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return len(k.secret) == 0 }

// Domain is the end of the names. It does not exist (RFC 6761, Section 6.4), so no sender has
// a name in it.
const Domain = "probe.invalid"

// EHLO returns the name by which a client, lower-case words joined by hyphens, identifies
// itself as a probe in a session.
func (k Key) EHLO(client, session string) string {
	return client + "." + k.token(client, session) + "." + Domain
}

// Verify reports whether an EHLO name identifies a probe in a session. It returns the name
// without what is secret and of this session alone: client.probe.invalid.
func (k Key) Verify(name, session string) (client string, ok bool) {
	labels, found := strings.CutSuffix(name, "."+Domain)
	client, token, whole := strings.Cut(labels, ".")
	if k.IsZero() || !found || !whole || !hmac.Equal([]byte(token), []byte(k.token(client, session))) {
		return "", false
	}
	return client + "." + Domain, true
}

// tokenSize is the bytes of a token. Half of the hash is enough (RFC 2104, Section 5), and
// fits in a label.
const tokenSize = sha256.Size / 2

func (k Key) token(client, session string) string {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte("postern probe\x00" + client + "\x00" + session))
	return strings.ToLower(encoding.EncodeToString(mac.Sum(nil)[:tokenSize]))
}

// Greeting returns the text of a server's greeting, without the code, in a session.
func Greeting(hostname, session string) string { return hostname + " ESMTP Postern " + session }

var greeting = regexp.MustCompile(`ESMTP Postern ([A-Z2-7]{10})$`)

// Session returns the session in a line of a greeting.
func Session(line string) (session string, ok bool) {
	found := greeting.FindStringSubmatch(line)
	if found == nil {
		return "", false
	}
	return found[1], true
}

// knownAs begins the text by which a server replies to the EHLO of a probe that it recognised.
const knownAs = " greets the probe at "

// Welcome returns that text for a client with this address.
func Welcome(hostname, address string) string { return hostname + knownAs + address }

// Welcomed reports whether a server's reply to EHLO says that it recognised a probe.
func Welcomed(reply []string) bool { return len(reply) > 0 && strings.Contains(reply[0], knownAs) }
