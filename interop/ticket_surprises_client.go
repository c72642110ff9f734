package interop

import "postern/handshake"

var ticketSurprisesClient = Case{
	ID:      "ticket-surprises-client",
	Title:   "Takes a session ticket for an error when it reads the first reply",
	Clients: "programs on Mbed TLS 3.5 and later that follow its sample mail client; POCO's SMTP client",
	Since:   "2023-12",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/Mbed-TLS/mbedtls/issues/8591", "2023-12-02", "The library reports a ticket as an error code, and its sample mail client gave up."},
		{"https://github.com/pocoproject/poco/issues/4874", "2025-02-17", "Its client gives up in STARTTLS with servers that send tickets after the handshake."},
	},
	Explanation: "The handshake completed and the sender sent its first command. It closed the connection when it read the reply, which a session ticket preceded. " +
		"Some TLS libraries report a ticket to the program as an unusual result of a read, and programs that do not expect it treat it as a failure. " +
		"Monitors that leave after one command, without QUIT, look the same, so one such connection is not a failure. It is one if the same sender sends mail when it gets no ticket.",
	Remedy: Remedy{
		Postern: "After several such connections Postern sends this sender no ticket, for one connection, and from then on if that helps. mode = \"no-ticket\" does that for every sender.",
		Sender:  "Let your client read on after a session ticket. With Mbed TLS 3.5 or later, a read that returns MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET has not failed: read again.",
		OtherSoftware: []Advice{
			{"Mbed TLS", "In the client: continue after MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET. Versions since 3.6.1 report it only on request."},
			{"Postfix", postfixNoTicket},
			{"Go programs", "Let sessionticket.Gate.Choose return NoTicket for that sender, or set tls.Config.SessionTicketsDisabled."},
		},
	},
	weigh: weighTicketSurprisesClient,
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ticket := tls13Ticket(t)
		command := index(t, handshake.Client, handshake.TypeApplicationData)
		if ticket < 0 || command < 0 || saysQuit(t, command) || !t.Completed || t.Use != handshake.UseData || !left(t) {
			return 0, nil
		}
		return Possible, []Observation{
			{"the server sent a session ticket", ticket},
			{"the client sent its first command, and no MAIL after it", command},
			leaving(t),
		}
	},
}
