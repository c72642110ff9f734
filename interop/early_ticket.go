package interop

import "postern/handshake"

var earlyTicket = Case{
	ID:      "early-ticket",
	Title:   "Closes silently when the session ticket comes before its own Finished",
	Clients: "outlook.com and Exchange Online as senders",
	Since:   "2024-10-24",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/golang/go/issues/70232", "2024-11-06", "Operators show dumps: the sender leaves when the ticket arrives with the server's first flight."},
		{"https://github.com/mjl-/mox/issues/237", "2024-11-06", "Mail from outlook.com came back when mox turned tickets off."},
		{"https://github.com/foxcpp/maddy/issues/730", "2024-11-02", "The same with maddy, which turned them off as well."},
		{"https://github.com/albertito/chasquid/issues/64", "2025-03-28", "The same with chasquid, seen from both sides, still so five months later."},
		{"https://github.com/golang/go/issues/61721", "2024-11-01", "Allowing no more than TLS 1.2 cures it too."},
	},
	Explanation: "A TLS 1.3 server may send a session ticket in its first flight, before the client's Finished: a note in RFC 8446, Section 4.6.1 " +
		"allows it, few servers do it (crypto/tls is one), and not every client tolerates it. This sender closed the connection at that point, without an alert. " +
		"Its administrator sees \"451 4.4.0 Security status Renegotiate\", and its TLS report speaks of a validation failure of MTA-STS, though nothing is wrong with that. " +
		"It tries every MX and does not come back in plaintext, so its mail is late and then lost.",
	Remedy: Remedy{
		Postern: "Nothing: by default the ticket leaves after the client's Finished. With mode \"stock\" such a sender is offered that when it comes again.",
		OtherSoftware: []Advice{
			{"mox", "Upgrade to v0.0.13 or later, where tickets are off for SMTP; later versions have TLSSessionTicketsDisabled for each listener."},
			{"maddy", "Upgrade to v0.8 or later, where tickets are off."},
			{"chasquid", "Upgrade to v1.15.1 or later, where tickets are off."},
			{"Exim", "With GnuTLS leave tls_resumption_hosts empty, as it is by default: then there are no tickets."},
			{"Go programs", "Put the gate of postern/sessionticket below crypto/tls and keep tickets; or set tls.Config.SessionTicketsDisabled."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ticket := index(t, handshake.Server, handshake.TypeNewSessionTicket)
		if ticket < 0 || !t.IsEarlyTicket(ticket) || t.Completed || !left(t) || has(t, handshake.Client, handshake.TypeFinished) {
			return 0, nil
		}
		confidence := certain
		if t.End.Kind == handshake.EndReset {
			confidence = likely
		}
		return confidence, []Observation{
			{"the session ticket left with the server's flight, before the client's Finished", ticket},
			leaving(t),
		}
	},
}
