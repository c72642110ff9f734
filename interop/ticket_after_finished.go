package interop

import (
	"crypto/tls"

	"postern/handshake"
)

var ticketAfterFinished = Case{
	ID:      "ticket-after-finished",
	Title:   "Leaves without a command when a ticket comes, even after its Finished",
	Clients: "not known; told of senders of Microsoft at servers that run Postfix",
	Since:   "2024-11",
	Status:  Suspected,
	Sources: []Source{
		{"https://github.com/golang/go/issues/70232", "2024-11-06", "Refers to users of Postfix with the same symptom, whose server sends tickets after Finished only."},
		{"https://www.mail-archive.com/postfix-users@postfix.org/msg104308.html", "2024-11", "The thread of those users."},
	},
	Explanation: "The handshake was complete, the server sent a session ticket, and the sender closed without a command. " +
		"Postfix never sends a ticket before the client's Finished, and some of its users told the same story as those of Go servers, " +
		"so there may be clients that survive no ticket at all. Nobody has shown one yet. " +
		"A program that takes a ticket for an error (ticket-surprises-client) or does not like the certificate can look the same.",
	Remedy: Remedy{
		Postern: "The sender is offered a handshake without tickets when it comes again; mode = \"no-ticket\" does that for everyone.",
		OtherSoftware: []Advice{
			{"Postfix", postfixNoTicket},
			{"mox", "Keep TLSSessionTicketsDisabled at its default for SMTP."},
			{"Go programs", "Let sessionticket.Gate.Choose return Never for that sender, or set tls.Config.SessionTicketsDisabled."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ticket := tls13Ticket(t)
		if ticket < 0 || !t.Completed || t.Use != handshake.UseNone || !left(t) {
			return 0, nil
		}
		return possible, []Observation{
			{"the server sent a session ticket", ticket},
			{"the handshake was complete, and no command came", whole},
			leaving(t),
		}
	},
}

// postfixNoTicket is as tried with 3.7.11: with NO_TICKET alone OpenSSL sends two
// tickets of another kind in TLS 1.3.
const postfixNoTicket = "smtpd_tls_protocols = >=TLSv1.2, <=TLSv1.2 together with tls_ssl_options = NO_TICKET; in TLS 1.3 no setting stops tickets."

// tls13Ticket is the index of the first ticket of TLS 1.3 of a usual size, -1 if there is none.
func tls13Ticket(t *handshake.Transcript) int {
	ticket := index(t, handshake.Server, handshake.TypeNewSessionTicket)
	if ticket < 0 || t.ServerHello == nil || t.ServerHello.Version != tls.VersionTLS13 || t.Messages[ticket].Size > usualTicket {
		return whole
	}
	return ticket
}
