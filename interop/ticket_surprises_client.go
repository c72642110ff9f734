package interop

import "postern/handshake"

var ticketSurprisesClient = Case{
	ID:      "ticket-surprises-client",
	Title:   "Takes a session ticket for an error when it reads the first reply",
	Clients: "programs on Mbed TLS 3.5 and later that follow its sample mail client; POCO's SMTP client",
	Since:   "2023-12",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/Mbed-TLS/mbedtls/issues/8591", "2023-12-02", "The library reports a ticket as an error code, and its sample mail client gave up on it."},
		{"https://github.com/pocoproject/poco/issues/4874", "2025-02-17", "Its client gives up in STARTTLS with servers that send tickets after the handshake."},
	},
	Explanation: "The handshake was complete and the sender said its first command; it closed when it read the reply, with a session ticket before it. " +
		"Some TLS libraries hand a ticket to the program as an unexpected result of reading, and programs that do not know of it take it for a failure. " +
		"A program that leaves after one command for reasons of its own, and does not say QUIT, looks the same.",
	Remedy: Remedy{
		Postern: "The sender is offered a handshake without tickets when it comes again; mode = \"no-ticket\" does that for everyone.",
		OtherSoftware: []Advice{
			{"Mbed TLS", "In the client: go on after MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET; versions since 3.6.1 say it only when asked to."},
			{"Postfix", postfixNoTicket},
			{"Go programs", "Let sessionticket.Gate.Choose return Never for that sender, or set tls.Config.SessionTicketsDisabled."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ticket := tls13Ticket(t)
		command := index(t, handshake.Client, handshake.TypeApplicationData)
		if ticket < 0 || command < 0 || saysQuit(t, command) || !t.Completed || t.Use != handshake.UseData || !left(t) {
			return 0, nil
		}
		return possible, []Observation{
			{"the server sent a session ticket", ticket},
			{"the client said its first command, and no MAIL came after it", command},
			leaving(t),
		}
	},
}
