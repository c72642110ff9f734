package interop

import (
	"fmt"

	"postern/handshake"
)

// bigHelloSize is where a ClientHello is in danger of leaving the first segment:
// 1,460 bytes on Ethernet, less what tunnels take.
const bigHelloSize = 1200

var bigHello = Case{
	ID:      "big-hello",
	Title:   "The rest of a large ClientHello never arrives",
	Clients: "senders that offer post-quantum key exchange, behind a device that reads one segment only",
	Since:   "2024",
	Status:  Confirmed,
	Sources: []Source{
		{"https://tldr.fail", "2024", "What breaks when a ClientHello no longer fits into one segment, and which products did."},
		{"https://github.com/openssl/openssl/issues/27557", "2025-05", "sendmail over STARTTLS: the hello grew from 324 to 1,555 bytes, and connections failed."},
		{"https://github.com/golang/go/issues/80573", "2026-07", "Hellos of Go 1.27 reach 1,467 bytes with ML-DSA among the signature algorithms."},
		{"https://github.com/dadrian/tldr.fail/issues/23", "2026-09", "Cloud firewalls abort the fragmented hello; one attempt more gets through."},
		{"https://github.com/traefik/traefik/issues/12871", "", "A proxy that read once and took what it had for the whole."},
		{"https://github.com/cloudflare/cloudflare-docs/pull/32833", "2026-08", "A mail-security service announces such hellos for SMTP."},
	},
	Explanation: "A ClientHello was announced, its first bytes came, and the rest did not. " +
		"Hellos with keys for X25519MLKEM768 are larger than one network segment, and some firewalls and load balancers read the first segment only, or drop the second. " +
		"Neither Postern nor the sender is at fault: look at what stands between them.",
	Remedy: Remedy{
		Postern: "Nothing to set: Postern reads a ClientHello in as many pieces as it comes in. Look for a firewall or balancer in front of it, and at the path's MTU.",
		OtherSoftware: []Advice{
			{"firewalls and load balancers", "Update them, or turn the inspection of TLS on port 25 off."},
			{"OpenSSL in the sender", "Groups = X25519:P-256 in the configuration file makes the hello small again."},
			{"Go programs as senders", "GODEBUG=tlsmlkem=0"},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		hello := index(t, handshake.Client, handshake.TypeClientHello)
		if hello < 0 || t.ClientHello != nil || t.Messages[hello].Missing <= 0 {
			return 0, nil
		}
		m := t.Messages[hello]
		observations := []Observation{{fmt.Sprintf("of a ClientHello of %d bytes the last %d never came", m.Size, m.Missing), hello}}
		confidence := likely
		if m.Size < bigHelloSize {
			confidence = possible
		}
		switch {
		case t.End.Kind == handshake.EndTimeout:
			return confidence, append(observations, Observation{"the server waited for them in vain", whole})
		case left(t):
			return possible, append(observations, leaving(t))
		}
		return 0, nil
	},
}
