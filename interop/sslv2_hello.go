package interop

import (
	"fmt"

	"postern/handshake"
)

var sslv2Hello = Case{
	ID:      "sslv2-hello",
	Title:   "Opens with a hello in the format of SSL 2.0",
	Clients: "clients of the 1990s and 2000s, and scanners that look for SSL 2.0",
	Since:   "2011",
	Status:  Reported,
	Sources: []Source{
		{"https://www.rfc-editor.org/rfc/rfc6176", "2011-03", "Section 3: TLS clients must not send this hello; servers may still meet it."},
	},
	Explanation: "The first bytes are a ClientHello as SSL 2.0 had it, which later clients used for compatibility and which RFC 6176 forbids. " +
		"crypto/tls does not read it and says that the first record does not look like a TLS handshake. " +
		"Today it comes from very old devices, and far more often from scanners.",
	Remedy: Remedy{
		Postern: "Nothing: no server of today should take it. Tell the sender if it is one.",
		OtherSoftware: []Advice{
			{"the sender", "Turn SSL 2.0 and the compatible hello off; in old Java: leave SSLv2Hello out of the enabled protocols."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		// RFC 5246, Appendix E.2: two bytes of length with the highest bit set, the
		// type, the version.
		b := t.NotTLS
		if len(b) < 5 || b[0]&0x80 == 0 || b[2] != clientHelloSSL2 || !(b[3] == 3 || b[3] == 0 && b[4] == 2) {
			return 0, nil
		}
		text := fmt.Sprintf("the first bytes are a hello of SSL 2.0 for version %d.%d", b[3], b[4])
		return certain, []Observation{{text, index(t, handshake.Client, handshake.TypeNotTLS)}}
	},
}

// clientHelloSSL2 is the message type CLIENT-HELLO.
const clientHelloSSL2 = 1
