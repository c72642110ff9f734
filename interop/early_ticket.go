package interop

import "postern/handshake"

var earlyTicket = Case{
	ID:      "early-ticket",
	Title:   "Closes silently when the session ticket arrives before its own Finished",
	Clients: "outlook.com and Exchange Online as senders",
	Since:   "2024-10-24",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/golang/go/issues/70232", "2024-11-06", "Packet captures by operators: the sender closes when the ticket arrives in the server's first flight."},
		{"https://github.com/mjl-/mox/issues/237", "2024-11-06", "Mail from outlook.com arrived again after mox disabled tickets."},
		{"https://github.com/foxcpp/maddy/issues/730", "2024-11-02", "The same with maddy, which disabled tickets as well."},
		{"https://github.com/albertito/chasquid/issues/64", "2025-03-28", "The same with chasquid, seen from both sides, and unchanged five months later."},
		{"https://github.com/golang/go/issues/61721", "2024-11-01", "Allowing TLS 1.2 at most avoids it too."},
		{"https://github.com/curl/curl/issues/18983", "2025-10-26", "Schannel returns SEC_I_RENEGOTIATE for each TLS 1.3 session ticket, also for those of OpenSSL servers."},
		{"https://github.com/dotnet/runtime/issues/103419", "2024", "Another program on Schannel failed over bytes that it read together with the server's last handshake message."},
	},
	Explanation: "A TLS 1.3 server may send a session ticket in its first flight, before the client's Finished (a note in RFC 8446, Section 4.6.1); crypto/tls does, few others do, and not every client tolerates it. " +
		"This sender closed the connection at that point, without an alert. " +
		"Its administrator sees \"451 4.4.0 Security status Renegotiate\", and its TLS report blames the MTA-STS policy, which is not at fault; it does not fall back to plaintext, so its mail is delayed and then bounces. " +
		"The reason is inferred, not known: Schannel, the TLS library of Windows, returns the status SEC_I_RENEGOTIATE for every ticket, and the sender probably met one where it takes that for an error, because of the ticket's order or because it came in one read with the server's Finished. " +
		"A ticket in a write of its own after the client's Finished, as OpenSSL servers send it, avoids both.",
	Remedy: Remedy{
		Postern: "Use the default mode, \"own-write\", in which Postern sends the ticket after the client's Finished. In mode \"stock\" such a sender falls back to it for its next attempt, unless a pin keeps it there.",
		Sender:  "Let your client accept a session ticket that arrives before its own Finished, as RFC 8446, Section 4.6.1 allows, or report this to the vendor of its TLS library. The receiving server can avoid it too: it can send the ticket later.",
		OtherSoftware: []Advice{
			{"mox", "Upgrade to v0.0.13 or later, which disables tickets for SMTP. Later versions have TLSSessionTicketsDisabled for each listener."},
			{"maddy", "Upgrade to v0.8 or later, which disables tickets."},
			{"chasquid", "Upgrade to v1.15.1 or later, which disables tickets."},
			{"Exim", "With GnuTLS, leave tls_resumption_hosts empty, its default. Then Exim sends no tickets."},
			{"Go programs", "Wrap the listener with the gate of Postern's package sessionticket and keep tickets, or set tls.Config.SessionTicketsDisabled."},
		},
	},
	weigh: weighEarlyTicket,
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ticket := index(t, handshake.Server, handshake.TypeNewSessionTicket)
		if !arrived(t, ticket) || !t.IsEarlyTicket(ticket) || t.Completed || !left(t) || has(t, handshake.Client, handshake.TypeFinished) {
			return 0, nil
		}
		confidence := Likely // at most: see weighEarlyTicket
		observations := []Observation{
			{"the server sent the session ticket in its first flight, before the client's Finished", ticket},
			leaving(t),
		}
		switch received := t.View == handshake.AtClient || t.Acknowledged == handshake.AckAll; {
		case received:
			observations = append(observations, Observation{"the client had received the whole flight", ticket})
		case t.End.Kind == handshake.EndReset: // nothing shows that the client had received the ticket
			confidence = Possible
		}
		return confidence, observations
	},
}
