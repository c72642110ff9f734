package interop

import (
	"fmt"

	"postern/handshake"
)

var unknownSNI = Case{
	ID:      "unknown-sni",
	Title:   "Asks for a host name that the server has no certificate for",
	Clients: "senders that put the MX name, another name or an address into the SNI",
	Since:   "2023-01",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/mjl-/mox/issues/206", "2024-08", "mox ended such handshakes, and now falls back to the certificate of its host name (62bd2f4)."},
		{"https://github.com/internetstandards/Internet.nl/issues/201", "", "A relative: names with a final dot."},
	},
	Explanation: "The client named a host in its ClientHello, and the server ended the handshake for want of a certificate with that name. " +
		"A sender of mail hardly ever minds another name, since most do not verify, so it is better to serve the default certificate and let the sender decide.",
	Remedy: Remedy{
		Postern: "Nothing: Postern serves its first certificate that the client can use when no name fits.",
		OtherSoftware: []Advice{
			{"mox", "Upgrade to a version with commit 62bd2f4 (August 2024)."},
			{"Postfix", "A name that is missing in tls_server_sni_maps gets the default of smtpd_tls_chain_files: set one."},
			{"Go programs", "Return a default certificate from tls.Config.GetCertificate, never an error."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		description, message, ok := alerted(t, handshake.Server)
		if !ok || t.ClientHello == nil || t.ClientHello.ServerName == "" || has(t, handshake.Server, handshake.TypeServerHello) {
			return 0, nil
		}
		seen := []Observation{
			helloAt(t, fmt.Sprintf("the client asks for %q", t.ClientHello.ServerName)),
			alert(description, "the server", message),
		}
		switch {
		case description == unrecognizedName:
			return certain, seen
		case description == internalError && !offersSession(t.ClientHello):
			return possible, seen // what crypto/tls says when GetCertificate gives an error
		}
		return 0, nil
	},
}
