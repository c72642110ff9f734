package persona

var ticketSurprisesClient = Persona{
	ID:    "ticket-surprises-client",
	Case:  "ticket-surprises-client",
	Does:  "Speaks at once after the handshake, and closes silently on any session ticket before the reply",
	minds: anyTicket,
}
