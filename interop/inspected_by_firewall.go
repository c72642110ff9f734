package interop

import (
	"bytes"
	"fmt"

	"postern/handshake"
)

var inspectedByFirewall = Case{
	ID:      "inspected-by-firewall",
	Title:   "A firewall that inspects SMTP masks STARTTLS, or the bytes after it",
	Clients: "senders behind SMTP inspection, among them Exchange 2013",
	Since:   "2019-06",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/postalserver/postal/issues/829", "2019-06", "An Exchange sender logged \"TLS negotiation failed with error InvalidToken\"; a firewall had changed the stream."},
		{"https://github.com/nabla-c0d3/sslyze/issues/84", "", "A greeting of asterisks, and XXXXXXXA in place of STARTTLS."},
	},
	Explanation: "The letter X or asterisks came in place of STARTTLS in the server's reply to EHLO, in place of its greeting, or after STARTTLS in place of TLS: some firewalls overwrite SMTP that they do not understand, so that mail goes without TLS or not at all. " +
		"The firewall is in your network or in the sender's. If other senders succeed, it is in the sender's.",
	Remedy: Remedy{
		Postern: "Nothing to do in a mail server. Find the firewall: connect from outside and look for asterisks in the greeting.",
		Sender:  "Look for a firewall that inspects SMTP between your server and the Internet, and turn that off for port 25: no inspect esmtp on a Cisco ASA.",
		OtherSoftware: []Advice{
			{"the firewall", "Disable SMTP inspection on port 25: no inspect esmtp on a Cisco ASA."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		mask := len(t.NotTLS) - len(bytes.TrimLeft(t.NotTLS, "X*"))
		if mask < 3 {
			return 0, nil
		}
		text := fmt.Sprintf("received %q instead of TLS", t.NotTLS)
		return Likely, []Observation{{text, index(t, handshake.Client, handshake.TypeNotTLS)}}
	},
}
