package interop

import "postern/handshake"

var ticketAfterFinished = Case{
	ID:      "ticket-after-finished",
	Title:   "Closes without a command after a ticket, even one sent after its Finished",
	Clients: "not known; reported for senders of Microsoft to servers with Postfix",
	Since:   "2024-11",
	Status:  Suspected,
	Sources: []Source{
		{"https://github.com/golang/go/issues/70232", "2024-11-06", "Mentions users of Postfix with the same symptom; Postfix sends tickets only after the client's Finished."},
		{"https://www.mail-archive.com/postfix-users@postfix.org/msg104308.html", "2024-11", "The thread of those users."},
	},
	Explanation: "The handshake completed, the server sent a session ticket, and the sender closed the connection without a command. " +
		"Postfix never sends a ticket before the client's Finished, and some of its users report the same symptom as users of Go servers, so some clients may accept no ticket at all. " +
		"No such client has been identified yet. " +
		"A program that takes a ticket for an error (ticket-surprises-client), one that rejects the certificate, and a certificate monitor that leaves without close_notify look the same, so one such connection is not a failure. It is one if the same sender goes on when it gets no ticket.",
	Remedy: Remedy{
		Postern: "After several such connections Postern sends this sender no ticket, for one connection, and from then on if that helps. mode = \"no-ticket\" does that for every sender.",
		Sender:  "See in your server's log why it left. If it left over the session ticket, let it accept one after its Finished (RFC 8446, Section 4.6.1), or update its TLS library.",
		OtherSoftware: []Advice{
			{"Postfix", postfixNoTicket},
			{"mox", "Leave TLSSessionTicketsDisabled at its default for SMTP."},
			{"Go programs", "Let sessionticket.Gate.Choose return NoTicket for that sender, or set tls.Config.SessionTicketsDisabled."},
		},
	},
	weigh: weighTicketAfterFinished,
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ticket := tls13Ticket(t)
		if ticket < 0 || !t.Completed || t.Use != handshake.UseNone || !left(t) {
			return 0, nil
		}
		return Possible, []Observation{
			{"the server sent a session ticket", ticket},
			{"the handshake completed, and the client sent no command", whole},
			leaving(t),
		}
	},
}

// postfixNoTicket was tested with 3.7.11: with NO_TICKET alone OpenSSL sends two tickets
// of another kind in TLS 1.3.
const postfixNoTicket = "Set smtpd_tls_protocols = >=TLSv1.2, <=TLSv1.2 and tls_ssl_options = NO_TICKET. In TLS 1.3 no setting disables tickets."
