package interop

import (
	"fmt"

	"postern/handshake"
)

var unknownSNI = Case{
	ID:      "unknown-sni",
	Title:   "Asks for a host name that the server has no certificate for",
	Clients: "senders whose SNI is the MX name, another name or an address",
	Since:   "2023-01",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/mjl-/mox/issues/206", "2024-08", "mox ended such handshakes, and now uses the certificate of its host name (62bd2f4)."},
		{"https://github.com/internetstandards/Internet.nl/issues/201", "", "Related: names with a final dot."},
	},
	Explanation: "The client sent a host name in its ClientHello, and the server ended the handshake because no certificate has that name. " +
		"Most senders do not verify the name, so it is better to serve the default certificate and let the sender decide.",
	Remedy: Remedy{
		Postern: "Nothing to do: if no name matches, Postern serves its first certificate that the client supports.",
		Sender:  "Let your client ask for the name in the MX record. If it does, nothing is wrong with it.",
		OtherSoftware: []Advice{
			{"mox", "Upgrade to a version with commit 62bd2f4 (August 2024)."},
			{"Postfix", "For names missing in tls_server_sni_maps Postfix uses smtpd_tls_chain_files: set it."},
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
			return AlmostCertain, seen
		case description == internalError && !offersSession(t.ClientHello):
			return Possible, seen // what crypto/tls sends when GetCertificate returns an error
		}
		return 0, nil
	},
}
