package interop

import (
	"fmt"

	"postern/handshake"
)

var sslv2Hello = Case{
	ID:      "sslv2-hello",
	Title:   "Starts with a ClientHello in the format of SSL 2.0",
	Clients: "clients of the 1990s and 2000s, and scanners that test SSL 2.0",
	Since:   "2011",
	Status:  Reported,
	Sources: []Source{
		{"https://www.rfc-editor.org/rfc/rfc6176", "2011-03", "Section 3: TLS clients must not send this ClientHello; servers may still receive it."},
	},
	Explanation: "The first bytes are a ClientHello in the format of SSL 2.0, which later clients used for compatibility and which RFC 6176 forbids. " +
		"crypto/tls does not read it and reports that the first record does not look like a TLS handshake. " +
		"Today it comes from very old devices, and far more often from scanners.",
	Remedy: Remedy{
		Postern: "Nothing to do: no current server should accept it. Tell the sender's administrator if it is a mail sender.",
		Sender:  "Turn off SSL 2.0 in the sending program, or update it: RFC 6176 forbids its ClientHello.",
		OtherSoftware: []Advice{
			{"the sender", "Disable SSL 2.0 and the compatible ClientHello; in old Java, remove SSLv2Hello from the enabled protocols."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		// RFC 5246, Appendix E.2: two bytes of length with the highest bit set, the
		// type, the version.
		b := t.NotTLS
		if len(b) < 5 || b[0]&0x80 == 0 || b[2] != clientHelloSSL2 || !(b[3] == 3 || b[3] == 0 && b[4] == 2) {
			return 0, nil
		}
		text := fmt.Sprintf("the first bytes are an SSL 2.0 ClientHello for version %d.%d", b[3], b[4])
		return AlmostCertain, []Observation{{text, index(t, handshake.Client, handshake.TypeNotTLS)}}
	},
}

// clientHelloSSL2 is the message type CLIENT-HELLO.
const clientHelloSSL2 = 1
