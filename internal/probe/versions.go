package probe

import (
	"fmt"

	"postern/handshake"
)

// versions tells what a healthy client and the server agree on.
func versions(e *exam) []Finding {
	if !e.first.In || e.first.Transcript == nil || e.first.Transcript.Choice == nil {
		return nil
	}
	c := e.first.Transcript.Choice
	chosen := fmt.Sprintf("%s, %s, %s", handshake.Version(c.Version), handshake.Suite(c.Suite), handshake.Group(c.Group))
	var found []Finding
	if c.Version < handshake.VersionTLS13 {
		found = append(found, Finding{
			ID: "tls13", Severity: Notice, Title: "TLS 1.3 is not offered", Evidence: []string{"chosen: " + chosen},
			Advice:  everyone("Allow TLS 1.3: a current TLS library has it on by itself."),
			Sources: []string{"https://www.rfc-editor.org/rfc/rfc9325#section-3.1.1"},
		})
	} else {
		found = append(found, fine("tls13", "TLS 1.3", chosen))
	}
	if postQuantum(c.Group) {
		return append(found, fine("post-quantum", "The key exchange is post-quantum", handshake.Group(c.Group).String()))
	}
	return append(found, Finding{
		ID: "post-quantum", Severity: Notice, Title: "The key exchange is not post-quantum",
		Evidence: []string{"X25519MLKEM768 was offered, chosen was " + handshake.Group(c.Group).String()},
		Advice:   everyone("OpenSSL 3.5, GnuTLS 3.8.9 and Go 1.24, or later, have X25519MLKEM768 on by themselves. No sender is kept out without."),
		Sources:  []string{"https://datatracker.ietf.org/doc/draft-ietf-tls-ecdhe-mlkem/"},
	})
}

// postQuantum tells of the hybrid groups with ML-KEM: SecP256r1MLKEM768,
// X25519MLKEM768 and SecP384r1MLKEM1024.
func postQuantum(group uint16) bool { return group >= 0x11eb && group <= 0x11ed }
