package interop

import (
	"fmt"

	"postern/handshake"
)

// usualTicket is the size of a NewSessionTicket that no client has been reported to
// stumble over. Without client certificates those of crypto/tls have below 300
// bytes, with a chain of certificates in them some thousand. Where Schannel's limit
// lies is not known to us.
const usualTicket = 2048

var largeTicket = Case{
	ID:      "large-ticket",
	Title:   "Fails when the session ticket is large",
	Clients: "Schannel, the TLS of Windows",
	Since:   "2023-10",
	Status:  Reported,
	Sources: []Source{
		{"https://github.com/golang/go/issues/63763", "2023-10-27", "Since Go 1.21 a ticket holds the client's whole certificate chain, and clients on Windows fail."},
		{"https://github.com/dotnet/runtime/issues/77989", "2022", "Schannel limits the size of handshake messages."},
		{"https://github.com/dotnet/docs/pull/55739", "2026-08", "The limits and their error, SEC_E_ILLEGAL_MESSAGE, are documented."},
	},
	Explanation: "The server sent a session ticket of more than 2 KiB, and the client ended the connection. " +
		"Tickets grow when the client has shown certificates, since some servers put them all into the ticket, and Schannel is reported to fail on large ones. " +
		"The exact limit is not published for tickets, so this is what the shape suggests, no more.",
	Remedy: Remedy{
		Postern: "Postern asks for no client certificates, so its tickets stay small.",
		OtherSoftware: []Advice{
			{"Postfix", "Ask for no client certificates on the public port: smtpd_tls_ask_ccert = no."},
			{"Go programs", "Use tls.NoClientCert for senders of mail, set tls.Config.SessionTicketsDisabled, or keep the state in tls.Config.WrapSession and give a short label out."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ticket := index(t, handshake.Server, handshake.TypeNewSessionTicket)
		if ticket < 0 || t.IsEarlyTicket(ticket) || t.Messages[ticket].Size <= usualTicket || t.Use != handshake.UseNone {
			return 0, nil
		}
		seen := Observation{fmt.Sprintf("the server sent a session ticket of %d bytes", t.Messages[ticket].Size), ticket}
		return endedOver(t, seen)
	},
}
