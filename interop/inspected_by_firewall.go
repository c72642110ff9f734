package interop

import (
	"bytes"
	"fmt"

	"postern/handshake"
)

var inspectedByFirewall = Case{
	ID:      "inspected-by-firewall",
	Title:   "A firewall that inspects SMTP masks the bytes after STARTTLS",
	Clients: "senders behind SMTP inspection, among them Exchange 2013",
	Since:   "2019-06",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/postalserver/postal/issues/829", "2019-06", "An Exchange sender logged \"TLS negotiation failed with error InvalidToken\"; a firewall had changed the stream."},
		{"https://github.com/nabla-c0d3/sslyze/issues/84", "", "A greeting of asterisks, and XXXXXXXA in place of STARTTLS."},
	},
	Explanation: "After STARTTLS came no TLS but letters X or asterisks, as some firewalls write them over SMTP that they do not understand. " +
		"The device stands at your border or at the sender's. If other senders get in, it is at the sender's.",
	Remedy: Remedy{
		Postern: "Nothing that a mail server can do. Find the firewall: look at the greeting from outside, which then shows asterisks.",
		OtherSoftware: []Advice{
			{"the firewall", "Turn the inspection of SMTP off for port 25: no inspect esmtp on a Cisco ASA."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		mask := len(t.NotTLS) - len(bytes.TrimLeft(t.NotTLS, "X*"))
		if mask < 3 {
			return 0, nil
		}
		text := fmt.Sprintf("in place of TLS came %q", t.NotTLS)
		return likely, []Observation{{text, index(t, handshake.Client, handshake.TypeNotTLS)}}
	},
}
