package interop

import (
	"fmt"
	"slices"

	"postern/handshake"
)

var mlDSAHello = Case{
	ID:      "ml-dsa-hello",
	Title:   "A device on the path resets connections whose ClientHello offers ML-DSA",
	Clients: "senders built with Go 1.27 or later, and others that offer ML-DSA signatures, behind a firewall or load balancer that inspects TLS",
	Since:   "2026-07",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/golang/go/issues/81199", "2026-08", "Bisected to the three signature schemes: the same ClientHello without them gets an answer."},
		{"https://github.com/golang/go/issues/80573", "2026-07", "With ML-DSA the ClientHello of Go 1.27 has about 1,467 bytes, and firewalls of several vendors reset the connection."},
		{"https://github.com/golang/go/issues/79626", "", "Another report of connections that are reset since Go offers ML-DSA."},
		{"https://github.com/golang/go/pull/81307", "2026-08", "A setting to leave the schemes out: GODEBUG=tlsmldsa=0."},
	},
	Explanation: "The client offers the signature schemes mldsa44, mldsa65 and mldsa87, and the connection was reset before the client's TCP acknowledged the server's answer. " +
		"Some devices that inspect TLS reset connections over these schemes, or over a ClientHello of some 1,500 bytes that comes in two segments (case big-hello). " +
		"The server is not at fault, and neither is the sender. " +
		"A device near the sender may reset before anything arrives; then the server sees nothing. A client that was stopped at that moment looks the same.",
	Remedy: Remedy{
		Postern: "Nothing to do in Postern, which ignores signature schemes that it does not know. Check the firewall or load balancer in front of it: postern probe from outside shows whether ml-dsa-hello fails where big-hello completes.",
		Sender:  "Look for a firewall or load balancer on your side that inspects TLS, and update it. Programs built with Go 1.27 do not offer ML-DSA with GODEBUG=tlsmldsa=0.",
		OtherSoftware: []Advice{
			{"firewalls and load balancers", "Update them, or disable TLS inspection on port 25."},
			{"Go programs as senders", "Set GODEBUG=tlsmldsa=0, in releases of Go that have this setting: Go 1.27.4 ignores it."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		hello := index(t, handshake.Client, handshake.TypeClientHello)
		if hello < 0 || t.End.Kind != handshake.EndReset || t.End.By != handshake.Client || has(t, handshake.Server, handshake.TypeNotTLS) {
			return 0, nil
		}
		if answered := slices.ContainsFunc(t.Messages[hello+1:], func(m handshake.Message) bool { return m.From == handshake.Client }); answered {
			return 0, nil
		}
		if t.ClientHello == nil {
			return mlDSAHelloCut(t, hello)
		}
		if !slices.ContainsFunc(t.ClientHello.Signatures, isMLDSA) {
			return 0, nil
		}
		confidence := Likely
		if arrived(t, index(t, handshake.Server, handshake.TypeServerHello)) {
			if t.Acknowledged == handshake.AckAll {
				return 0, nil // the client has the server's answer, so no device withheld it
			}
			confidence = Possible
		}
		return confidence, []Observation{
			{fmt.Sprintf("the client offered ML-DSA signature schemes, in a ClientHello of %d bytes", t.ClientHello.Size), hello},
			leaving(t),
		}
	},
}

// mlDSAHelloCut matches a large ClientHello of which only the beginning arrived before a
// reset. Its signature schemes are not known, so big-hello fits as well.
func mlDSAHelloCut(t *handshake.Transcript, hello int) (Confidence, []Observation) {
	m := t.Messages[hello]
	if m.Missing <= 0 || m.Size < bigHelloSize {
		return 0, nil
	}
	return LessLikely, []Observation{
		{fmt.Sprintf("of a ClientHello of %d bytes the last %d never arrived", m.Size, m.Missing), hello},
		leaving(t),
	}
}

// isMLDSA reports whether a signature scheme is ML-DSA
// (https://datatracker.ietf.org/doc/draft-ietf-tls-mldsa/).
func isMLDSA(s handshake.SignatureScheme) bool { return 0x0904 <= s && s <= 0x0906 }
