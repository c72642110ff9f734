package interop

import (
	"fmt"

	"postern/handshake"
)

var largeTicket = Case{
	ID:      "large-ticket",
	Title:   "Fails on a large session ticket",
	Clients: "Schannel, the TLS library of Windows",
	Since:   "2023-10",
	Status:  Reported,
	Sources: []Source{
		{"https://github.com/golang/go/issues/63763", "2023-10-27", "Since Go 1.21 a ticket holds the client's whole certificate chain, and clients on Windows fail."},
		{"https://github.com/dotnet/runtime/issues/77989", "2022", "Schannel limits the size of handshake messages."},
		{"https://github.com/dotnet/docs/pull/55739", "2026-08", "Documents the limits and their error, SEC_E_ILLEGAL_MESSAGE."},
	},
	Explanation: "The server sent a session ticket of more than 2 KiB, and the client ended the connection. " +
		"Tickets grow when the client has shown certificates, since some servers put them all into the ticket, and Schannel is reported to fail on large ones. " +
		"No limit for tickets is published, so the size is a hint and no proof.",
	Remedy: Remedy{
		Postern: "Nothing to do: Postern requests no client certificates, so its tickets are small.",
		Sender:  "Let your client send no client certificate on port 25: it makes the ticket small. Install the updates of its TLS library.",
		OtherSoftware: []Advice{
			{"Postfix", "Do not request client certificates on port 25: smtpd_tls_ask_ccert = no."},
			{"Go programs", "Use tls.NoClientCert for mail senders, set tls.Config.SessionTicketsDisabled, or store the state in tls.Config.WrapSession and return a short label."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ticket := index(t, handshake.Server, handshake.TypeNewSessionTicket)
		if !arrived(t, ticket) || t.IsEarlyTicket(ticket) || t.Messages[ticket].Size <= usualTicket || t.Use != handshake.UseNone {
			return 0, nil
		}
		cause := Observation{fmt.Sprintf("the server sent a session ticket of %d bytes", t.Messages[ticket].Size), ticket}
		return endedAfter(t, cause)
	},
}
