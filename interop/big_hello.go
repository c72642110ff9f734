package interop

import (
	"fmt"

	"postern/handshake"
)

// bigHelloSize is the size from which a ClientHello may not fit into the first segment:
// 1,460 bytes on Ethernet, less what tunnels take.
const bigHelloSize = 1200

var bigHello = Case{
	ID:      "big-hello",
	Title:   "The rest of a large ClientHello never arrives",
	Clients: "senders that offer post-quantum key exchange, behind a device that reads only one TCP segment",
	Since:   "2024",
	Status:  Confirmed,
	Sources: []Source{
		{"https://tldr.fail", "2024", "What fails when a ClientHello no longer fits into one segment, and which products did."},
		{"https://github.com/openssl/openssl/issues/27557", "2025-05", "sendmail over STARTTLS: the ClientHello grew from 324 to 1,555 bytes, and connections failed."},
		{"https://github.com/golang/go/issues/80573", "2026-07", "A ClientHello of Go 1.27 reaches 1,467 bytes with ML-DSA among the signature algorithms."},
		{"https://github.com/dadrian/tldr.fail/issues/23", "2026-09", "Cloud firewalls abort the fragmented ClientHello; a retry succeeds."},
		{"https://github.com/traefik/traefik/issues/12871", "", "A proxy that read once and took what it had for the whole."},
		{"https://github.com/cloudflare/cloudflare-docs/pull/32833", "2026-08", "A mail security service announces such ClientHellos for SMTP."},
	},
	Explanation: "The first bytes of a ClientHello arrived, and the rest did not. " +
		"A ClientHello with a key share for X25519MLKEM768 is larger than one TCP segment, and some firewalls and load balancers read only the first segment, or drop the second. " +
		"Neither Postern nor the sender is at fault: look at the devices between them.",
	Remedy: Remedy{
		Postern: "Nothing to do in Postern, which accepts a ClientHello in any number of pieces. Check the firewall or load balancer in front of it, and the path MTU.",
		Sender:  "Look for a firewall or load balancer on your side that reads only the first TCP segment of a ClientHello, and update it. A ClientHello without X25519MLKEM768 fits into one segment.",
		OtherSoftware: []Advice{
			{"firewalls and load balancers", "Update them, or disable TLS inspection on port 25."},
			{"OpenSSL in the sender", "Set Groups = X25519:P-256 in the configuration file. That makes the ClientHello small again."},
			{"Go programs as senders", "Set GODEBUG=tlsmlkem=0."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		hello := index(t, handshake.Client, handshake.TypeClientHello)
		if hello < 0 || t.ClientHello != nil || t.Messages[hello].Missing <= 0 {
			return 0, nil
		}
		m := t.Messages[hello]
		observations := []Observation{{fmt.Sprintf("of a ClientHello of %d bytes the last %d never arrived", m.Size, m.Missing), hello}}
		switch {
		case m.Size < bigHelloSize:
			return 0, nil // it fits into one segment: another fault
		case t.End.Kind == handshake.EndTimeout:
			return Likely, append(observations, Observation{"the server waited for the rest until its time limit", whole})
		case left(t):
			return Possible, append(observations, leaving(t))
		}
		return 0, nil
	},
}
